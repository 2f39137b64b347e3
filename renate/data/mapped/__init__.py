"""Columns larger than memory: in files that have no name and vanish with the process."""
