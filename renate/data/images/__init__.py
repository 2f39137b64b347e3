"""Encoded images -> pixels, decoded once."""
