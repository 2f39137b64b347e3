"""Networks with a head for each task."""
