"""Which examples are held out where that goes by time: of each update the newest."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from renate.errors import TooFewError

Times = np.ndarray[Any, Any]
TRAINED, FOR_VAL, FOR_TEST = range(3)  # as `renate.data.kept.split.SIDES`


class Period(NamedTuple):
    """The examples that one update brought, cut by their time.

    Attributes:
        val: From when on they are for validation; None where none are.
        test: From when on they are tested on; None where none are.
        end: The newest of them. What is newer belongs to a later update.
    """

    val: float | None
    test: float | None
    end: float


def sides_of(times: Times, periods: Sequence[Period]) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Return the side of each example, as an index into `SIDES`.

    An example belongs to the first period that ends with it or later, whenever it comes again.
    """
    sides = np.zeros(len(times), np.int8)
    ends = np.array([period.end for period in periods])
    place = np.searchsorted(ends, times)
    for number, period in enumerate(periods):
        own = place == number
        if period.val is not None:
            sides[own & (times >= period.val)] = FOR_VAL
        if period.test is not None:
            sides[own & (times >= period.test)] = FOR_TEST

    return sides


def with_new(
    periods: Sequence[Period], times: Times, test: float, val: float
) -> tuple[Period, ...]:
    """Return the periods and one more, of the examples that are newer than all of them; the same
    where there are none.

    Args:
        periods: Of earlier updates.
        times: Of all examples, [N].
        test: The share of the new ones to test on; 0 where test data is given.
        val: The share of the others for validation, or how many.

    Raises:
        TooFewError: Too many are of one time for a side to have some and the training too.
    """
    new = np.sort(times[times > periods[-1].end] if periods else times)
    if not len(new):
        return tuple(periods)

    end = new[-1].item()
    test_from = None
    rest = new
    if test:
        test_from = _cut(rest, test, "test_size")
        rest = rest[rest < test_from]

    val_from = None
    if val:
        val_from = _cut(rest, val, "val_size")

    return (*periods, Period(val_from, test_from, end))


def _cut(times: Times, share: float, key: str) -> float:
    """From when on the newest of sorted times are held out."""
    count = max(1, round(share * len(times))) if share < 1 else int(share)
    if count >= len(times):
        raise TooFewError(f"data.{key}={share:g} leaves none of {len(times)} examples to train on")

    first = times[len(times) - count].item()
    if first == times[0].item():
        raise TooFewError(
            f"data.{key}={share:g}: the newest of {len(times)} examples are as old as the oldest, "
            "and those of one time stay together: give more, or data.time=null"
        )

    found: float = first
    return found


def periods_from(found: object) -> tuple[Period, ...]:
    """Read what a version keeps: a list of [val, test, end], each later than the one before.

    Raises:
        ValueError: Anything odd.
    """
    if not isinstance(found, list) or not 0 < len(found) <= 100_000:
        raise ValueError("split: no list of periods")

    periods = []
    for entry in found:
        if not isinstance(entry, list) or len(entry) != len(Period._fields):
            raise ValueError("split: no period")
        if not all(_is_time(value) for value in entry if value is not None) or entry[2] is None:
            raise ValueError("split: a period of no times")
        periods.append(Period(*entry))

    ends = [period.end for period in periods]
    if any(later <= earlier for earlier, later in pairwise(ends)):
        raise ValueError("split: periods that aren't one after the other")
    return tuple(periods)


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and bool(abs(value) < 2**63)  # type: ignore[arg-type]
