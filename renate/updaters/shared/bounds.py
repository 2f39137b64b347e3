"""Bounds of an updater's arguments."""


def at_least_0(**values: float) -> None:
    """Raises ValueError for the first value below 0, or that is no number."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name}={value}: expected 0 or more")


def at_least_1(**values: int) -> None:
    """Raises ValueError for the first value that is no whole number of 1 or more."""
    for name, value in values.items():
        if value < 1 or value != int(value):
            raise ValueError(f"{name}={value}: expected 1 or more")


def share(**values: float) -> None:
    """Raises ValueError for the first value that is not from 0 to 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value}: expected 0 to 1")
