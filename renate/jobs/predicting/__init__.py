"""A version at work: from raw rows to answers, in a process or from file to file."""
