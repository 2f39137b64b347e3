"""Renate's data modules, data sets and scenarios, under their old paths."""
