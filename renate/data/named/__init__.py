"""Tables of which some columns are taken by their names."""
