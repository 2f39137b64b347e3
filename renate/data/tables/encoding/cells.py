"""The values of one column, of whatever type they come, as one array of the column's kind.

Numbers and booleans are float32 with NaN, texts and categories objects with None, dates
datetime64[us] (UTC where they have a zone) with NaT where a value is missing.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
from torch import Tensor

from renate.data.tables.exact import float32
from renate.errors import DataError, shortened

Array = np.ndarray[Any, Any]
MICROSECONDS = "datetime64[us]"


class CellError(DataError):
    """One value that can't be what its column holds.

    Attributes:
        column: Its name.
        row: From 0, of all that was looked at.
        what: What is wrong, and what to do.
    """

    def __init__(self, column: str, row: int, what: str) -> None:
        super().__init__(f"inputs: row {row} (the first is 0), column '{column}' {what}")
        self.column = column
        self.row = row
        self.what = what

    def at(self, file: str, row: int) -> DataError:
        """Return the same error with the place as the user has it."""
        return DataError(f"{file}: row {row} (the first is 0), column '{self.column}' {self.what}")


def numbers_of(values: Any, name: str) -> Array:
    """Return float32 [N] of numbers or booleans; None and NaN are missing.

    Raises:
        CellError: A value is something else, or infinite.
    """
    if isinstance(values, Tensor):
        values = values.numpy()
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        values = np.array([_number(v, name, row) for row, v in enumerate(values)], np.float64)
    if values.ndim > 1:
        raise DataError(f"inputs: column '{name}' has shape {list(values.shape)}, expected [N]")

    with np.errstate(over="ignore"):
        found = values.astype(np.float32)

    return finite(found, name)


def finite(values: Array, name: str) -> Array:
    """Return float32 [N], each missing value as the same NaN.

    Raises:
        CellError: A value is infinite.
    """
    odd = np.flatnonzero(np.isinf(values))
    if len(odd):
        what = "is infinite, or too large for float32: clean or fill it first"
        raise CellError(name, int(odd[0]), what)

    return np.where(np.isnan(values), np.float32(np.nan), values)


def exact_numbers(values: Array, there: Array, where: str) -> Array:
    """Return float32 [N], NaN where a value is missing.

    Args:
        values: Those that are there, in their order.
        there: Whether each of all N is, bool [N].
        where: See `float32`.

    Raises:
        DataError: Values that float32 can't tell apart.
    """
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    known = values[~missing]
    rounded = np.full(len(values), np.nan, np.float32)
    rounded[~missing] = float32(known, where)
    found = np.full(len(there), np.nan, np.float32)
    found[there] = rounded
    return found


def _number(value: Any, name: str, row: int) -> float:
    if is_gone(value):
        return float("nan")
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return float(value)
    raise CellError(name, row, f"holds {_shown(value)}, expected a number")


def texts_of(values: Any, name: str, *, numbers: bool, trimmed: bool) -> Array:
    """Return texts [N] of dtype object; None where there is none, or an empty one.

    Args:
        values: Texts, or where `numbers`, numbers and booleans, as `spelt`.
        name: Of the column.
        numbers: Whether the column was one of numbers or booleans when it was fitted.
        trimmed: Whether blanks at the ends are no part of a text.

    Raises:
        CellError: A value is something else.
    """
    if isinstance(values, Tensor):
        values = values.numpy()
    if isinstance(values, np.ndarray):
        values = values.tolist()

    found = np.empty(len(values), object)
    if set(map(type, values)) <= {str, type(None)}:
        # Each text is looked at once, however often it comes
        known = {value: _bare(value, trimmed=trimmed) for value in set(values)}
        found[:] = [known[value] for value in values]
        return found

    for row, value in enumerate(values):
        if is_gone(value):
            continue
        if not isinstance(value, str):
            if not numbers or not isinstance(value, bool | int | float):
                raise CellError(name, row, f"holds {_shown(value)}, expected text")
            value = spelt(value)

        found[row] = _bare(value, trimmed=trimmed)

    return found


def _bare(text: str | None, *, trimmed: bool) -> str | None:
    if text is None or not text.strip():
        return None
    return text.strip() if trimmed else text


def is_gone(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, NaT or pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating | np.datetime64) and bool(value != value)


def spelt(value: float) -> str:
    """Return a number or a boolean as the text of a category: 7 and 7.0 are one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def dates_of(values: Any, name: str, *, zoned: bool) -> Array:
    """Return datetime64[us] [N], NaT where a value is missing.

    Args:
        values: Dates, times with a date, or texts in ISO 8601.
        name: Of the column.
        zoned: Whether each has a time zone; it is taken to UTC.

    Raises:
        CellError: A value is something else, or has a zone where it mustn't.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return values.astype(MICROSECONDS)
    if isinstance(values, Tensor):
        raise DataError(f"inputs: column '{name}' holds numbers, expected dates")

    found = np.full(len(values), np.datetime64("NaT"), MICROSECONDS)
    for row, value in enumerate(values):
        moment = _moment(value, name, row)
        if moment is None:
            continue
        if (moment.tzinfo is not None) != zoned:
            expected = "one with a time zone" if zoned else "one without a time zone"
            raise CellError(name, row, f"holds {_shown(value)}, expected {expected}")
        if moment.tzinfo is not None:
            moment = moment.replace(tzinfo=None) - (moment.utcoffset() or moment - moment)

        found[row] = np.datetime64(moment, "us")

    return found


def _moment(value: Any, name: str, row: int) -> datetime | None:
    if is_gone(value) or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, np.datetime64):
        value = value.astype(MICROSECONDS).item()
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)

    try:
        return datetime.fromisoformat(value.strip())
    except (AttributeError, TypeError, ValueError):
        what = f"holds {_shown(value)}, expected a date as in 2026-11-27 or 2026-11-27T13:45"
        raise CellError(name, row, what) from None


def _shown(value: Any) -> str:
    return shortened(repr(value), 40)


def columns_there(raw: Any, names: Sequence[str], hint: Any) -> None:
    """Return if inputs are a mapping that has each column.

    Raises:
        DataError: They aren't, or one isn't there.
    """
    if not hasattr(raw, "keys"):
        raise DataError(
            f"inputs are {type(raw).__name__}, expected a mapping from the columns' names to "
            f"values: {', '.join(names[:10])}"
        )

    for name in names:
        if name not in raw:
            left = [str(other) for other in raw if other not in names]
            raise DataError(f"inputs: no column '{name}'{hint(name, left)}")
