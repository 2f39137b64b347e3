"""What several updaters share."""
