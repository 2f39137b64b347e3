"""What config values must be, told without importing what they build."""
