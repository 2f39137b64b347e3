"""Whether new data have drifted, and whether an update is due."""
