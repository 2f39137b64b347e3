"""The programs of a job's machine, and how they tell the rest of the world what happens."""
