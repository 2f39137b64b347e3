"""One fit: the learner, what happens around its steps, and what lets it be resumed."""
