"""Names that move from version to version."""
