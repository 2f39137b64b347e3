"""Tuning: search space, proposers and stoppers, the event log, history across updates."""
