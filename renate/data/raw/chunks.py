"""Files' rows, some at a time: parquet as it is read on, CSV and JSON a file at a time."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from renate.data.tables import remote
from renate.data.tables.columns import first_line
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.parquet import BUFFER, opened_at, stamp_of
from renate.data.tables.read import plain, read_files
from renate.errors import DataError


class RawChunk(NamedTuple):
    """Some rows of a file.

    Attributes:
        file: Its name.
        first: The number of the first of them there.
        table: Arrow table.
        names: What each row is called, for messages; empty where that is its number.
    """

    file: str
    first: int
    table: Any
    names: Sequence[str] = ()


def chunks_of(
    files: Sequence[str], rows: int, dialect: Dialect, as_text: Collection[str]
) -> Iterator[RawChunk]:
    """Yield the rows of files in their order.

    Args:
        files: Paths and URLs; objects are downloaded into memory, one at a time.
        rows: How many at a time, at most.
        dialect: How CSV is written.
        as_text: Columns of CSV that stay text, whatever is in them.

    Raises:
        DataError: A file can't be read, or changes while it is.
    """
    for file in files:
        if Path(file).suffix.lower() == ".parquet":
            yield from _of_parquet(file, rows)
            continue

        table = read_files([file], dialect, as_text)[file].table
        for first in range(0, table.num_rows, rows):
            yield RawChunk(file, first, table.slice(first, rows))


def _of_parquet(file: str, rows: int) -> Iterator[RawChunk]:
    import pyarrow as pa

    source: Any = file
    if "://" in file:
        source = pa.py_buffer(remote.read(file))

    first = 0
    try:
        stamp = stamp_of(source)
        with opened_at(source, BUFFER) as parquet:
            for batch in parquet.iter_batches(rows):
                yield RawChunk(file, first, plain(pa.Table.from_batches([batch])))
                first += batch.num_rows
        changed = stamp_of(source) != stamp
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as parquet: {first_line(error)}") from error

    if changed:
        raise DataError(f"{file}: it has changed while it was read: start again")
