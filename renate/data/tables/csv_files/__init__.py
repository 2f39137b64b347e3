"""CSV: what a file is like, its text, and which of it are numbers."""
