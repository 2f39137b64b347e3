"""Losses that torch has not."""
