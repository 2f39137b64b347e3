"""What measuring comes to, by name."""
