"""The first lines of a report: what got better, what was forgotten, whether the model shipped."""
