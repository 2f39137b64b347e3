"""From a version to objects, and from objects to the next version."""
