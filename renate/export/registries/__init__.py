"""Where published versions are registered: each registry a class, each class a file."""
