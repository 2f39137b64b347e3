"""Files -> columns: what they hold, where each value came from, nothing changed in silence."""
