"""The config file of Renate's own experiments."""
