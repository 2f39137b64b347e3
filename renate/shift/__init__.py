"""Whether new data are distributed as those that a version was trained on."""
