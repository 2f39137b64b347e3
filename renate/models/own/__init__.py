"""What makes any module the model of an update."""
