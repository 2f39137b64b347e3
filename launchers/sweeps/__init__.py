"""Several jobs of one command: every combination, or the trials of a tuner."""
