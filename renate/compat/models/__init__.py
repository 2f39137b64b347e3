"""Renate's models, under their old paths."""
