"""What a version predicts for: rows without targets, read as training reads them."""
