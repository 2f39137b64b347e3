"""What is predicted: one file per kind of problem."""
