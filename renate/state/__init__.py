"""Everything that one update leaves to the next, as immutable versions under one URL."""
