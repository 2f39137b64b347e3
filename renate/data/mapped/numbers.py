"""Numbers of parquet files that are larger than memory: read some rows at a time into a mapped
file.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.mapped.from_csv import as_parquet, numbers_in
from renate.data.mapped.rows import Scratch, mapped_empty
from renate.data.tables.columns import converted, first_line, to_numpy
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.exact import float32, is_doubtful
from renate.data.tables.parquet import BUFFER, Read, opened_at, stamp_of
from renate.data.tables.read import joined, plain
from renate.data.tables.roles.roles import Roles
from renate.data.tables.values import Places, numbers
from renate.errors import DataError

ROWS = 2**16  # at most, that are decoded at a time
VALUES = 2**21  # the same of all columns together


@dataclass(frozen=True)
class NumbersFile:
    """A parquet file whose columns of numbers stay there until they are needed.

    Attributes:
        file: What was named, for messages.
        path: Of the parquet file, which is that one or holds the same.
        names: Of these columns.
        rows: How many it has.
        stamp: When its other columns were read.
    """

    file: str
    path: str
    names: tuple[str, ...]
    rows: int
    stamp: tuple[int, ...]

    def tables(self, names: Sequence[str]) -> Iterator[Any]:
        """Read some of the columns as Arrow tables of a few rows.

        Raises:
            DataError: It isn't readable, or has changed.
        """
        import pyarrow as pa

        rows = max(1, min(ROWS, VALUES // len(names)))
        with opened(self.path) as file:
            for batch in file.iter_batches(rows, columns=list(names)):
                yield plain(pa.Table.from_batches([batch]).select(list(names)))

        if stamp_of(self.path) != self.stamp:
            raise DataError(f"{self.file}: it has changed while it was read: start again")

    @cached_property
    def lacking(self) -> Mapping[str, tuple[int, bool]]:
        """Name -> how many values a column lacks, and whether one of those that it has is NaN."""
        import pyarrow as pa
        import pyarrow.compute as pc

        nulls = dict.fromkeys(self.names, 0)
        odd = dict.fromkeys(self.names, False)
        for table in self.tables(self.names):
            for name in self.names:
                column = table.column(name)
                nulls[name] += column.null_count
                if pa.types.is_floating(column.type):
                    odd[name] |= bool(pc.any(pc.is_nan(column)).as_py())

        return {name: (nulls[name], odd[name]) for name in self.names}


@dataclass(frozen=True)
class UnreadNumbers:
    """One of its columns.

    Attributes:
        source: The file.
        name: Of the column.
        type: As Arrow has it.
    """

    source: NumbersFile
    name: str
    type: Any

    def __len__(self) -> int:
        return self.source.rows

    @property
    def null_count(self) -> int:
        """How many values aren't there."""
        return self.source.lacking[self.name][0]

    @property
    def lacks_some(self) -> bool:
        """Whether a value isn't there, or is NaN."""
        return any(self.source.lacking[self.name])


@contextmanager
def opened(file: str) -> Iterator[Any]:
    """Open a parquet file so that little of it is in memory.

    Raises:
        DataError: It isn't readable.
    """
    import pyarrow as pa

    try:
        with opened_at(file, BUFFER) as found:
            yield found
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as parquet: {first_line(error)}") from error


def read_by_parts(
    files: Sequence[str], dialect: Dialect, roles: Roles, scratch: Scratch
) -> dict[str, Read] | None:
    """Read all columns but those of numbers, which stay in the files; None where they fit into
    memory, or other columns than numbers would be inputs.

    Args:
        files: Paths and URLs.
        dialect: How CSV is written.
        roles: What the columns are for; those that aren't inputs alone are read.
        scratch: Says what fits.
    """
    parquet = as_parquet(files, dialect, roles, scratch)
    if parquet is not None:
        return {file: _read(file, path, roles) for file, path in parquet.items()}
    if not all(file.lower().endswith(".parquet") and "://" not in file for file in files):
        return None

    size = 0
    for file in files:
        with opened(file) as found:
            schema = found.schema_arrow
            names = numbers_in(schema, roles)
            if names is None:
                return None
            size += found.metadata.num_rows * len(names) * np.float32().itemsize

    if size <= scratch.max_ram:
        return None
    return {file: _read(file, file, roles) for file in files}


def _read(file: str, path: str, roles: Roles) -> Read:
    import pyarrow as pa

    stamp = stamp_of(path)
    with opened(path) as found:
        schema = found.schema_arrow
        marked = {name for named in roles.marks.values() for name in named}
        names = [name for name in numbers_in(schema, roles) or () if name not in marked]
        rows = found.metadata.num_rows
        rest = plain(found.read(columns=[name for name in schema.names if name not in names]))

    source = NumbersFile(file, path, tuple(names), rows, stamp)
    nothing = pa.py_buffer(bytes(rows * 8))  # of all columns: none of them has a value there
    columns = []
    fields = []
    for field in schema:
        if field.name in names:
            columns.append(pa.Array.from_buffers(field.type, rows, [nothing, nothing]))
            fields.append(field)
        else:
            columns.append(rest.column(field.name))
            fields.append(rest.schema.field(field.name))

    made = pa.schema(fields, metadata=schema.metadata)
    unread = {name: UnreadNumbers(source, name, schema.field(name).type) for name in names}
    categories = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    return Read(pa.Table.from_arrays(columns, schema=made), unread, frozenset(categories))


def mapped_vectors(
    reads: Sequence[Read], places: Places, names: Sequence[str], scratch: Scratch
) -> Tensor:
    """Return columns of numbers as `vectors` does, float32 [N, C], in a mapped file.

    Args:
        reads: What was read of each file, columns of numbers unread.
        places: Where the rows come from.
        names: Of the columns.
        scratch: Where the file goes.

    Raises:
        DataError: What float32 can't tell apart, or no room.
    """
    schemas = [read.table.slice(0, 0).select(list(names)) for read in reads]
    schema = joined(places.files, schemas).schema
    whats = [f"{places.title}: column '{name}'" for name in names]
    found = mapped_empty(scratch.folder, sum(places.rows), (len(names),), torch.float32)
    ranges = [_Range() for _ in names]
    begin = 0

    for file, table in _tables(reads, names):
        rows = found[begin : begin + table.num_rows].numpy()
        begin += table.num_rows
        for index, name in enumerate(names):
            where = f"{file}: column '{name}'"
            column = converted(table.column(name), schema.field(name).type, where)
            values = to_numpy(numbers(column, name, places))
            if values.dtype == np.float64:
                with np.errstate(over="ignore"):  # infinite then, which the source's check refuses
                    rows[:, index] = values
                ranges[index].widen(values, rows[:, index])
            else:
                rows[:, index] = float32(values, whats[index])

    for index, (name, what) in enumerate(zip(names, whats, strict=True)):
        if ranges[index].is_doubtful:
            columns = [table.column(name) for _, table in _tables(reads, [name])]
            kind = schema.field(name).type
            float32(np.concatenate([to_numpy(column.cast(kind)) for column in columns]), what)

    return found


def _tables(reads: Sequence[Read], names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for read in reads:
        source = next(column.source for column in read.unread.values())
        for table in source.tables(names):
            yield source.file, table


class _Range:
    """What says whether float32 may make values of a column equal."""

    def __init__(self) -> None:
        self.low = np.inf
        self.high = -np.inf
        self.is_whole = True
        self.is_finite = True

    def widen(self, values: np.ndarray[Any, Any], rounded: np.ndarray[Any, Any]) -> None:
        """Take some of the values, float64, and what float32 makes of them."""
        if not len(values):
            return
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        self.is_whole &= bool((values == np.floor(values)).all())
        self.is_finite &= bool(np.isfinite(rounded).all())

    @property
    def is_doubtful(self) -> bool:
        """Whether the whole column has to be looked at."""
        if not self.is_finite or self.high < self.low:
            return False
        return is_doubtful(self.low, self.high, whole=self.is_whole)
