"""Whether a new version may be used: it is compared with the one in use."""
