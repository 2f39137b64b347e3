"""Learning rate schedules that torch has not."""
