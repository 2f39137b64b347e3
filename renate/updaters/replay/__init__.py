"""Updaters that learn from past examples beside the new ones."""
