"""Tuned updates and streams: from a search space and a tuner to trials that are jobs of any launcher."""
