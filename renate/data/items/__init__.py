"""Items of data sets: as tensors, and read when they are needed."""
