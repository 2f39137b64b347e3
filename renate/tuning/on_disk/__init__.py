"""What a sweep leaves: its event log, its folder, its rows in the state it publishes to."""
