"""Heads on frozen features: no gradient, one pass over the data."""
