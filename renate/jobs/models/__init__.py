"""The network of a job: how it is built, and what it begins with."""
