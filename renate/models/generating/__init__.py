"""Language models that generate texts."""
