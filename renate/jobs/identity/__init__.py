"""Which job is the very same: its config, its code, its data."""
