"""What a version keeps of how it was measured, besides the metrics."""
