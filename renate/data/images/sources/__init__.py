"""Sources of images that are files of their own."""
