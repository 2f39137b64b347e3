"""How a job directory is run: in this process, in a warm worker, in a group of processes."""
