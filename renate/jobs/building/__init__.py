"""What a job is made of: its network and what that begins with, what examples and classes weigh."""
