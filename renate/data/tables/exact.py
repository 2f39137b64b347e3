"""Numbers of any kind -> float32, refused where it would make different examples equal."""

from typing import Any

import numpy as np

from renate.errors import DataError

Array = np.ndarray[Any, Any]
# Every whole number up to here is a float32 of its own.
EXACT = 2**24
INT64 = np.iinfo(np.int64)
REMEDY = (
    "subtract an offset or divide (seconds as days since a date), or leave the column out if it is "
    "an id"
)


def float32(values: Array, what: str) -> Array:
    """Convert one column of numbers.

    Whole numbers must be float32 exactly. Fractions are rounded, which is what float32 means; but a
    column of which more than half of the distinct values become equal (times in seconds since 1970)
    is refused too.

    Args:
        values: Integers, booleans or floats [N].
        what: Names the column, for messages.

    Raises:
        DataError: Values that float32 can't tell apart.
    """
    # Beyond float32 is infinite, which the source's `check` refuses
    with np.errstate(over="ignore"):
        rounded: Array = values.astype(np.float32)

    if not len(values) or values.dtype.itemsize <= 2 or values.dtype == np.float32:
        return rounded

    if values.dtype.kind in "iu":
        lost = _inexact(values)
        if lost is not None:
            raise DataError(
                f"{what} holds {lost}, which float32 holds as {int(np.float32(lost))}: {REMEDY}"
            )
    elif np.isfinite(rounded).all():
        _check_distinct(values, rounded, what)

    return rounded


def _inexact(values: Array) -> int | None:
    """Return a whole number that float32 can't hold."""
    if int(values.min()) >= -EXACT and int(values.max()) <= EXACT:
        return None
    for value in np.unique(values[(values > EXACT) | (values < -EXACT)]).tolist():
        if int(np.float32(value)) != value:
            return int(value)
    return None


def _check_distinct(values: Array, rounded: Array, what: str) -> None:
    """Refuse floats of which float32 makes few: only a narrow range far from zero, or whole
    numbers, can be such.
    """
    largest = float(np.abs(values).max())
    whole = largest > EXACT and bool((values == np.floor(values)).all())
    if not is_doubtful(float(values.min()), float(values.max()), whole=whole):
        return

    before = np.unique(values)
    after = np.unique(rounded)
    if len(after) == len(before) or (not whole and len(after) * 2 > len(before)):
        return

    same = int(np.flatnonzero(np.diff(before.astype(np.float32)) == 0)[0])
    low, high = before[same : same + 2].tolist()
    raise DataError(f"{what} holds {low!r} and {high!r}, which float32 makes equal: {REMEDY}")


def is_doubtful(low: float, high: float, *, whole: bool) -> bool:
    """Whether float32 may make few of a column's floats.

    Args:
        low: The least of them.
        high: The largest.
        whole: Whether all are whole numbers.
    """
    largest = max(abs(low), abs(high))
    narrow = high - low < 2**16 * float(np.spacing(np.float32(largest)))
    return narrow or (whole and largest > EXACT)


def whole_labels(values: Array, what: str) -> Array:
    """Return labels that came as integers or floats as int64, each with its exact value.

    Raises:
        DataError: One with a fraction, or beyond what int64 (of floats: 2**53) holds.
    """
    if values.dtype.kind == "f":
        odd = values[~np.isfinite(values) | (values != np.floor(values)) | (np.abs(values) > 2**53)]
        if len(odd):
            raise DataError(
                f"{what} holds {odd[0].item()!r}, a label is a whole number, a boolean or text"
            )
    elif values.dtype.kind == "u" and len(values) and int(values.max()) > INT64.max:
        raise DataError(
            f"{what} holds {int(values.max())}, beyond int64: write such labels as text"
        )
    return values.astype(np.int64)
