"""What a state's data are like, kept in each version, and how later data are held against it."""
