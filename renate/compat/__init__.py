"""The bridge for users of Renate 0.5: its calls, its config files, its states, on our own jobs."""
