"""From what jobs and states have recorded to what a report says."""
