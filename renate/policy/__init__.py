"""When an update is due."""
