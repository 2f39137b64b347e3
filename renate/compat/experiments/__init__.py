"""Renate's experiments: many updates in a row, and the JSON files that describe them."""
