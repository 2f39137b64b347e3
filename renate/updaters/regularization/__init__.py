"""What keeps weights near those that earlier data needed, without keeping the data."""
