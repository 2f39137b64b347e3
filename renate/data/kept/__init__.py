"""What a version keeps of its data, and how later data are held against it."""
