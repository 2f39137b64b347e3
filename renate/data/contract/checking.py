"""One column held against its contract."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from renate.data.contract.document import Bounds, ColumnContract
from renate.data.contract.views import View

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Violation:
    """What a column holds that its contract hasn't.

    Attributes:
        check: Which of `renate.data.contract.rules.CHOICES`.
        what: What is wrong, behind how many values there are: `are outside 0 to 1`.
        rows: Which rows have it, int64 [n]; empty where the column as a whole is wrong.
    """

    check: str
    what: str
    rows: Array


NOWHERE = np.empty(0, np.int64)


def violations_of(view: View, wanted: ColumnContract) -> Iterator[Violation]:
    """Yield what a column holds that it may not; missing values are counted elsewhere."""
    if (odd := _type(view, wanted)) is not None:
        yield Violation("types", odd, NOWHERE)
        return

    yield from _ranges(view, wanted)
    yield from _categories(view, wanted)
    yield from _lengths(view, wanted)


def _type(view: View, wanted: ColumnContract) -> str | None:
    if view.type != wanted.type and len(view):
        return f"is of type {view.type}, the contract's is {wanted.type}"
    if wanted.dtype is not None and view.dtype is not None and view.dtype != wanted.dtype:
        return f"is {view.dtype}, the contract's is {wanted.dtype}"
    if wanted.shape is not None and view.shape is not None and view.shape != wanted.shape:
        return f"has examples of shape {list(view.shape)}, the contract's are {list(wanted.shape)}"
    return None


def bounds_of(wanted: Bounds | None, kind: str) -> tuple[Any, Any]:
    """Return a contract's bounds as the values of a column are."""
    if wanted is None:
        return None, None
    if kind != "date":
        return wanted
    low, high = (None if each is None else np.datetime64(str(each), "us") for each in wanted)
    return low, high


def _ranges(view: View, wanted: ColumnContract) -> Iterator[Violation]:
    span = view.span if wanted.range is not None else None
    if span is None:
        return
    low, high = (view.rounded(bound) for bound in bounds_of(wanted.range, view.type))
    inside = (low is None or span[0] >= low) and (high is None or span[1] <= high)
    if not inside:
        odd = view.outside(low, high)
        yield Violation("ranges", f"outside {between(wanted.range)}", np.flatnonzero(odd))


def between(bounds: Bounds | None) -> str:
    """Write bounds as a message has them: `0 to 1`, `up to 3`."""
    assert bounds is not None
    low, high = (f"{each:g}" if isinstance(each, float) else each for each in bounds)
    if low is None:
        return f"what goes up to {high}"
    if high is None:
        return f"what begins at {low}"
    return f"{low} to {high}"


def _categories(view: View, wanted: ColumnContract) -> Iterator[Violation]:
    if wanted.categories is None or view.type != "category":
        return

    known = {None, *wanted.categories}
    values = view.values.tolist()
    unknown = set(values) - known
    if unknown:
        rows = np.fromiter((value in unknown for value in values), bool, len(values))
        what = f"none of the contract's {len(wanted.categories)} categories"
        yield Violation("categories", what, np.flatnonzero(rows))


def _lengths(view: View, wanted: ColumnContract) -> Iterator[Violation]:
    if wanted.length is None or view.type not in ("text", "ragged"):
        return

    low, high = wanted.length
    lengths = view.lengths
    odd = np.zeros(len(lengths), bool)
    if low is not None:
        odd |= lengths < low
    if high is not None:
        odd |= lengths > high

    rows = np.flatnonzero(odd & ~view.missing)
    if len(rows):
        unit = "characters" if view.type == "text" else "values"
        yield Violation("lengths", f"not {between(wanted.length)} {unit} long", rows)
