"""What is looked at before a training and after it."""
