"""Bounds of arguments, as their constructors know them. None of them takes infinity, nor what is no
number.
"""

import math
from collections.abc import Sequence


def at_least_0(**values: float) -> None:
    """Raises ValueError for the first value below 0."""
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value}: expected 0 or more")


def above_0(**values: float) -> None:
    """Raises ValueError for the first value that isn't above 0."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value}: expected more than 0")


def at_least_1(**values: int) -> None:
    """Raises ValueError for the first value that is no whole number of 1 or more."""
    for name, value in values.items():
        _check_count(name, value, 1)


def all_at_least_1(**lists: Sequence[int]) -> None:
    """Raises ValueError for the first list with a value below 1."""
    for name, values in lists.items():
        if any(value < 1 for value in values):
            raise ValueError(f"{name}={list(values)}: expected sizes of 1 or more")


def count(**values: int) -> None:
    """Raises ValueError for the first value that is no whole number of 0 or more."""
    for name, value in values.items():
        _check_count(name, value, 0)


def share(**values: float) -> None:
    """Raises ValueError for the first value that is not from 0 to 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value}: expected 0 to 1")


def below_1(**values: float) -> None:
    """Raises ValueError for the first share that is none, or leaves nothing: of a dropout."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value}: expected 0 to less than 1")


def _check_count(name: str, value: float, least: int) -> None:
    if not value >= least:
        raise ValueError(f"{name}={value}: expected {least} or more")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name}={value}: expected a whole number of {least} or more, as 32")
