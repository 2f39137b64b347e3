"""Renate's model updaters, called from one's own script."""
