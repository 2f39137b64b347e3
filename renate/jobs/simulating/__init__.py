"""Past data played through a policy as they would have come."""
