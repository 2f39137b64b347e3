"""A config_space of Renate's, and what it says here: updaters, keys, domains."""
