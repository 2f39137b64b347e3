"""Columns of files as cells, see `renate.data.tables.encoding.cells`."""

import re
from datetime import datetime
from typing import Any

import numpy as np

from renate.data.tables.columns import is_text, strings, to_numpy
from renate.data.tables.csv_files.typed import BOOLEAN, MISSING, NUMBER
from renate.data.tables.encoding.base import ColumnEncoding
from renate.data.tables.encoding.cells import (
    MICROSECONDS,
    Array,
    CellError,
    exact_numbers,
    finite,
    spelt,
)

# ISO 8601: a day, and perhaps a time after it, and perhaps its zone.
ISO = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?$"
ISO_ZONED = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})$"


def cells_of(column: Any, encoding: ColumnEncoding, where: str, date_format: str | None) -> Array:
    """Return one column of a file as cells.

    Args:
        column: ChunkedArray [N].
        encoding: Of the column.
        where: File and column, for messages.
        date_format: How dates are written in texts; None is ISO 8601.

    Raises:
        CellError: A value is of another kind.
        DataError: Numbers that float32 can't tell apart.
    """
    name = encoding.name
    if encoding.kind in ("number", "boolean"):
        return _numbers(column, name, encoding.kind, where)
    if encoding.kind != "date":
        return _texts(column, trimmed=encoding.kind == "category")

    if is_text(column.type):
        column = _dates_of_text(column, encoding, date_format)
    return _dates(column)


def there(column: Any) -> Array:
    """Return whether each value of a column is there, bool [N]."""
    import pyarrow.compute as pc

    return to_numpy(pc.is_valid(column))


def _numbers(column: Any, name: str, kind: str, where: str) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_text(column.type):
        column = _numbers_of_text(column, name, kind)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())

    values = to_numpy(pc.drop_null(column))
    found = finite(exact_numbers(values, there(column), where), name)

    if kind == "boolean":
        odd = np.flatnonzero(~np.isnan(found) & (found != 0) & (found != 1))
        if len(odd):
            row = int(odd[0])
            raise CellError(name, row, f"holds {found[row]:g}, expected true and false, or 1 and 0")

    return found


def _numbers_of_text(column: Any, name: str, kind: str) -> Any:
    """Return texts that spell numbers, or booleans, as such; those that say that there is none
    are null.

    Raises:
        CellError: One spells something else.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(column)
    filled = pc.if_else(pc.is_in(trimmed, strings(MISSING)), pa.nulls(1, pa.string())[0], trimmed)
    pattern, to = (BOOLEAN, pa.bool_()) if kind == "boolean" else (NUMBER, pa.float64())
    row = first_that(pc.invert(pc.match_substring_regex(filled, pattern)))
    if row is not None:
        raise CellError(name, row, f"holds {column[row].as_py()!r}, expected a {kind}")

    return pc.utf8_lower(filled).cast(to)


def first_that(flags: Any) -> int | None:
    """Return the first row that is true; None where none is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    row = int(pc.index(flags, pa.scalar(True)).as_py())
    return None if row < 0 else row


def _texts(column: Any, *, trimmed: bool) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(column.type):
        return np.full(len(column), None, object)
    if not is_text(column.type):
        values = column.to_pylist()
        found = np.empty(len(values), object)
        found[:] = [None if value is None or value != value else spelt(value) for value in values]
        return found

    bare = pc.utf8_trim_whitespace(column)
    kept = bare if trimmed else column
    blank = pc.equal(bare, strings([""])[0])
    found = np.empty(len(column), object)
    found[:] = pc.if_else(blank, pa.nulls(1, pa.string())[0], kept).to_pylist()
    return found


def _dates(column: Any) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(column.type):
        return np.full(len(column), np.datetime64("NaT"), MICROSECONDS)

    # A zone is no part of the value: it is UTC in any case
    moments = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    found = np.full(len(column), np.datetime64("NaT"), MICROSECONDS)
    found[there(column)] = to_numpy(pc.drop_null(moments)).view(MICROSECONDS)
    return found


def of_format(texts: Any, date_format: str) -> Any:
    """Return texts as moments, null where one isn't written in this format, or is no day that there
    is: pyarrow makes 31.02.2026 the third of March, and of 27.11.26 by %Y a day of the year 26.

    Args:
        texts: ChunkedArray [N] of strings.
        date_format: As strftime says it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    read = pc.strptime(texts, format=date_format, unit="us", error_is_null=True)
    # A day beyond its month's last is one of the first three of the next month
    doubtful = pc.or_(pc.less(pc.day(read), 4), pc.less(pc.year(read), 1000))
    spellings = pc.drop_null(pc.unique(texts.filter(doubtful))).to_pylist()
    odd = [text for text in spellings if not _is_written_as(text, date_format)]
    if not odd:
        return read
    return pc.if_else(pc.is_in(texts, strings(odd)), pa.nulls(1, read.type)[0], read)


def _is_written_as(text: str, date_format: str) -> bool:
    try:
        datetime.strptime(text, date_format)
    except ValueError:
        return False
    return True


def _dates_of_text(column: Any, encoding: ColumnEncoding, date_format: str | None) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    name = encoding.name

    trimmed = pc.utf8_trim_whitespace(column)
    blank = pc.equal(trimmed, strings([""])[0])
    filled = pc.if_else(blank, pa.nulls(1, pa.string())[0], trimmed)

    if date_format is not None:
        read = of_format(filled, date_format)
        row = first_that(pc.and_(pc.is_null(read), pc.is_valid(filled)))
        if row is not None:
            what = f"holds {column[row].as_py()!r}, which isn't data.csv.date_format={date_format}"
            raise CellError(name, row, what)
        return read

    zoned = encoding.stored == "zoned text"
    pattern, kind = (ISO_ZONED, pa.timestamp("us", "UTC")) if zoned else (ISO, pa.timestamp("us"))
    row = first_that(pc.invert(pc.match_substring_regex(filled, pattern)))
    if row is None:
        try:
            return filled.cast(kind)
        except pa.ArrowInvalid as error:
            odd = re.search(r"'(.*?)'", str(error))
            row = first_that(pc.equal(filled, strings([odd[1]])[0])) if odd else None

    row = row or 0
    zone = " with a time zone, as the others have" if zoned else ""
    raise CellError(
        name,
        row,
        f"holds {column[row].as_py()!r}, expected a date as in 2026-11-27 or "
        f"2026-11-27T13:45{zone}; another way to write it: data.csv.date_format='%d.%m.%Y'",
    )
