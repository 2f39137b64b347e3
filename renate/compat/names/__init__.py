"""What Renate's import paths lead to."""
