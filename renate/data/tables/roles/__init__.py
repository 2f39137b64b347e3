"""What the columns of tables are for, and what those give that are neither inputs nor targets."""
