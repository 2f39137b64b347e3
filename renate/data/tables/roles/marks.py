"""Columns that say something of an example: its weight, what it is, its group, when it was."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from renate.data.tables.columns import is_text, to_numpy
from renate.data.tables.encoding.arrow import cells_of
from renate.data.tables.encoding.cells import CellError, spelt
from renate.data.tables.encoding.dates import Dates
from renate.data.tables.encoding.raw import holds_zones
from renate.data.tables.matching import kind_of
from renate.data.tables.parquet import Read
from renate.data.tables.values import Places
from renate.errors import DataError, nearest

Array = np.ndarray[Any, Any]


def marks_of(
    reads: Sequence[Read],
    places: Places,
    marks: Mapping[str, list[str]],
    date_format: str | None,
    *,
    all_there: bool,
) -> dict[str, Any]:
    """Return what columns say of each example besides, as fields of a `Table`.

    Args:
        reads: What was read of each file.
        places: Where its rows come from.
        marks: See `Roles`.
        date_format: How dates are written in texts.
        all_there: Whether the columns must be; else one that isn't says nothing.

    Raises:
        DataError: A column isn't there, or holds what it can't.
    """
    found: dict[str, Any] = {}
    if not all_there:
        schemas = [read.table.column_names for read in reads]
        marks = {k: v for k, v in marks.items() if all({*v} <= {*names} for names in schemas)}
    if "weight" in marks:
        found["weights"] = weights_of(reads, places, marks["weight"][0])
    if "task_id" in marks:
        found["tasks"] = tasks_of(reads, places, marks["task_id"][0])
    if "time" in marks:
        name = marks["time"][0]
        found["times"], kind = times_of(reads, places, name, date_format)
        found["held_by"] = ("time", name, kind)

    for key in ("key", "group"):
        if key in marks:
            found["identity"] = identity_of(reads, places, marks[key], f"data.{key}")
            found["held_by"] = (key, *marks[key])

    return found


def weights_of(reads: Sequence[Read], places: Places, name: str) -> Array:
    """Return the weight of each example, float32 [N].

    Raises:
        DataError: One is no finite number of 0 or more, or all are 0.
    """
    parts = []
    for file, read in zip(places.files, reads, strict=True):
        column = _column(file, read, name, "data.weight")
        if kind_of(column.type) not in ("number", "boolean"):
            raise DataError(
                f"{file}: column '{name}' is {kind_of(column.type)}, data.weight takes numbers of "
                "0 or more"
            )
        parts.append(_filled(file, column, name, places, "data.weight").astype(np.float64))

    found = np.concatenate(parts)
    odd = np.flatnonzero(~np.isfinite(found) | (found < 0) | (found > np.finfo(np.float32).max))
    if len(odd):
        file, row = places.of(int(odd[0]))
        raise DataError(
            f"{file}: row {row} (the first is 0), column '{name}' holds {found[odd[0]]:g}: a "
            "weight is a finite number of 0 or more"
        )
    if len(found) and not found.any():
        raise DataError(f"{places.title}: column '{name}': all weights are 0")

    return found.astype(np.float32)


def tasks_of(reads: Sequence[Read], places: Places, name: str) -> Array:
    """Return which head each example is of, int64 [N].

    Raises:
        DataError: One is no whole number of 0 or more.
    """
    parts = []
    for file, read in zip(places.files, reads, strict=True):
        column = _column(file, read, name, "data.task_id")
        if kind_of(column.type) != "number":
            raise DataError(
                f"{file}: column '{name}' is {kind_of(column.type)}, data.task_id takes the whole "
                "numbers 0, 1, 2, …, one for each task"
            )
        parts.append(_filled(file, column, name, places, "data.task_id").astype(np.float64))

    found = np.concatenate(parts)
    odd = np.flatnonzero(~np.isfinite(found) | (found < 0) | (found != np.floor(found)))
    if len(odd):
        file, row = places.of(int(odd[0]))
        raise DataError(
            f"{file}: row {row} (the first is 0), column '{name}' holds {found[odd[0]]:g}: "
            "data.task_id takes the whole numbers 0, 1, 2, …, one for each task"
        )

    return found.astype(np.int64)


def identity_of(
    reads: Sequence[Read], places: Places, names: Sequence[str], key: str
) -> dict[str, Array]:
    """Return what the columns of a key say, as texts: 7, 7.0 and '7' are one.

    Args:
        reads: What was read of each file.
        places: Where its rows come from.
        names: Of the columns.
        key: Of the config, for messages.

    Raises:
        DataError: A column isn't there, or a value is missing.
    """
    found = {}
    for name in names:
        parts = []
        for file, read in zip(places.files, reads, strict=True):
            column = _column(file, read, name, key)
            parts.append(_spelt(file, column, name, places, key))
        found[name] = np.concatenate([np.empty(0, object), *parts])

    return found


def times_of(
    reads: Sequence[Read], places: Places, name: str, date_format: str | None
) -> tuple[Array, str]:
    """Return when each example was: microseconds, int64 [N], of dates; else numbers, float64 [N];
    and which of both, `date`, `instant` (with a time zone) or `number`.

    Raises:
        DataError: A value is missing, or neither a date nor a number.
    """
    parts = []
    kinds = set()
    for file, read in zip(places.files, reads, strict=True):
        column = _column(file, read, name, "data.time")
        kind = kind_of(column.type)
        if kind == "number":
            numbers = _filled(file, column, name, places, "data.time").astype(np.float64)
            parts.append(_finite(file, numbers, name, places))
            kinds.add(kind)
            continue
        if kind not in ("date", "instant", "text"):
            raise DataError(f"{file}: column '{name}' is {kind}, data.time takes dates or numbers")

        dates = _dates(file, column, name, places, date_format)
        _check_there(file, np.isnat(dates), name, places, "data.time")
        parts.append(dates.astype(np.int64))
        kinds.add("instant" if kind == "instant" or _has_zones(column) else "date")

    if len(kinds) > 1:
        raise DataError(
            f"{places.title}: column '{name}' is {' in some files and '.join(sorted(kinds))} in "
            "others: make it one of them"
        )

    return np.concatenate(parts), next(iter(kinds))


def _has_zones(column: Any) -> bool:
    return is_text(column.type) and holds_zones(column)


def _dates(file: str, column: Any, name: str, places: Places, date_format: str | None) -> Array:
    stored = "text"
    if _has_zones(column):
        stored = "zoned text"

    try:
        return cells_of(column, Dates(name, stored), f"{file}: column '{name}'", date_format)
    except CellError as error:
        raise error.at(file, places.row_in(file, error.row)) from error


def _column(file: str, read: Read, name: str, key: str) -> Any:
    names = read.table.column_names
    if name not in names or name in read.unread:
        raise DataError(
            f"{file}: no column '{name}', which {key} names{nearest(name, names)} "
            f"({', '.join(names)})"
        )
    return read.table.column(name)


def _check_there(file: str, gone: Array, name: str, places: Places, key: str) -> None:
    rows = np.flatnonzero(gone)
    if len(rows):
        row = places.row_in(file, int(rows[0]))
        raise DataError(
            f"{file}: row {row} (the first is 0), column '{name}' is empty, {key} needs it in each "
            f"row ({len(rows)} lack it): fill it or drop those rows"
        )


def _filled(file: str, column: Any, name: str, places: Places, key: str) -> Array:
    """A column of numbers or booleans, of which none may be missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    _check_there(file, to_numpy(pc.is_null(column)), name, places, key)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    return to_numpy(column)


def _finite(file: str, numbers: Array, name: str, places: Places) -> Array:
    _check_there(file, ~np.isfinite(numbers), name, places, "data.time")
    return numbers


def _spelt(file: str, column: Any, name: str, places: Places, key: str) -> Array:
    kind = kind_of(column.type)
    if kind not in ("number", "boolean", "text", "date", "instant", "null"):
        raise DataError(f"{file}: column '{name}' is {kind}, {key} takes numbers, texts and dates")

    values = [
        str(v).strip() if kind in ("text", "date", "instant") else v for v in column.to_pylist()
    ]
    gone = np.array([each is None or each in ("", "None") or each != each for each in values], bool)
    _check_there(file, gone, name, places, key)
    found = np.empty(len(values), object)
    found[:] = [each if isinstance(each, str) else spelt(each) for each in values]
    return found
