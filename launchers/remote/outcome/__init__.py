"""What a job far away has left, checked, and on its way to what is local."""
