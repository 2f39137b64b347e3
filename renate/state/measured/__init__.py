"""What a version keeps of how it was measured, besides the metrics."""

VALIDATION = "validation"  # the name of what it was measured on where that is validation data
