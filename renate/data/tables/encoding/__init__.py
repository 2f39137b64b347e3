"""Columns of several kinds -> numbers that a model takes: a small class for each kind."""
