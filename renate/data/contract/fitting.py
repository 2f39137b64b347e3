"""A contract that is fitted: what the first update's data are like, and some room around it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from renate.data.contract.document import Bounds, ColumnContract
from renate.data.contract.rules import Rules
from renate.data.contract.views import NUMBERS, View
from renate.problems.base import Label

DIGITS = 4  # of a range's size, to which its bounds are rounded


def fitted_columns(views: Mapping[str, View], rules: Rules) -> dict[str, ColumnContract]:
    """Return what each column may be like, given how it is."""
    return {name: _column(view, rules) for name, view in views.items()}


def _column(view: View, rules: Rules) -> ColumnContract:
    given: dict[str, Any] = {}
    if view.type in NUMBERS or view.type in ("category", "date", "text"):
        share = float(view.missing.mean()) if len(view) else 0.0
        given["missing"] = min(1.0, _outwards(0.0, share + rules.slack["missing"])[1])
    if view.type in ("tensor", "image", "ragged"):
        given["dtype"] = view.dtype
        given["shape"] = view.shape
    if view.type in ("number", "date", "tensor"):
        given["range"] = _range(view, rules.slack["ranges"])
    if view.type in ("text", "ragged"):
        given["length"] = _length(view, rules.slack["lengths"])
    if view.type == "category":
        given["categories"] = _categories(view, rules.most_categories)

    return ColumnContract(view.type, **given)


def _range(view: View, slack: float) -> Bounds | None:
    span = view.span
    if span is None:
        return None

    low, high = span
    if view.type == "date":
        earlier = np.timedelta64(round((high - low).astype(np.int64) * slack), "us")
        return (low - earlier).item().isoformat(), None

    room = (float(high) - float(low)) * slack
    return _outwards(float(low) - room, float(high) + room)


def _outwards(low: float, high: float) -> tuple[float, float]:
    """Bounds with as few digits as people read, none of them nearer."""
    span = high - low
    if not 0 < span < math.inf:
        return low, high

    digits = DIGITS - math.floor(math.log10(span))
    step = 10.0**-digits
    rounded_low = round(low, digits)
    rounded_high = round(high, digits)
    if rounded_low > low:
        rounded_low = round(low - step, digits)
    if rounded_high < high:
        rounded_high = round(high + step, digits)
    return rounded_low, rounded_high


def _length(view: View, slack: float) -> Bounds | None:
    lengths = view.lengths[~view.missing]
    if not len(lengths):
        return None

    least = max(0, math.floor(int(lengths.min()) * (1 - slack)))
    return least, math.ceil(int(lengths.max()) * (1 + slack))


def _categories(view: View, most: int) -> tuple[str, ...] | None:
    found = set(view.values.tolist()) - {None}
    if 0 < len(found) <= most:
        return tuple(sorted(found))
    return None


def fitted_shares(
    labels: list[Label], counts: np.ndarray[Any, Any], rows: int, slack: float
) -> dict[Label, tuple[float, float] | None]:
    """Return the share that each label may have.

    Args:
        labels: All.
        counts: How many examples have each, [K].
        rows: How many examples there are.
        slack: How much more or less later data may have.
    """
    shares = [int(count) / rows for count in counts]
    bounds = [_outwards(share - slack, share + slack) for share in shares]
    return {
        label: (max(0.0, low), min(1.0, high))
        for label, (low, high) in zip(labels, bounds, strict=True)
    }


def fitted_target(values: np.ndarray[Any, Any], slack: float) -> Bounds:
    """Return the range of a target of numbers [N]."""
    low = float(values.min())
    high = float(values.max())
    room = (high - low) * slack
    return _outwards(low - room, high + room)


def least_examples(rows: int, share: float) -> int:
    """Return how many examples later updates have at least."""
    return min(rows, max(1, math.floor(rows * share)))
