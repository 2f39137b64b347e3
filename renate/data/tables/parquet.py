"""Parquet: all columns but those of encoded images, which stay in the file until they are
needed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from renate.data.tables.columns import first_line, is_image
from renate.errors import DataError

BUFFER = 2**18  # bytes of a column at a time, where a file is read by parts


@dataclass(frozen=True)
class Unread:
    """A column of encoded images that is still in its file.

    Args:
        file: For messages.
        source: Its path, or its content as an Arrow buffer.
        name: Of the column.
        type: As Arrow has it.
        rows: How many it has.
        nbytes: What they take, before the file's compression.
        stamp: Of the file, when its other columns were read.
    """

    file: str
    source: Any
    name: str
    type: Any
    rows: int
    nbytes: int
    stamp: tuple[int, ...]

    def __len__(self) -> int:
        return self.rows

    @property
    def null_count(self) -> int:
        """How many images aren't there: by the file's statistics where they tell, else the
        column is read.
        """
        if self.type.num_fields:
            path = f"{self.name}.bytes"
        else:
            path = self.name

        with self._opened() as file:
            statistics = [
                leaf.statistics for leaf in _leaves(file, self.name) if leaf.path_in_schema == path
            ]
            known = [
                found is not None and found.has_null_count and not found.null_count
                for found in statistics
            ]

        if known and all(known):
            return 0

        return sum(array.null_count for array in self.arrays(1024))

    def arrays(self, rows: int) -> Iterator[Any]:
        """Read it as Arrow arrays of at most so many rows.

        Raises:
            DataError: It isn't readable, or the file has changed.
        """
        with self._opened() as file:
            for batch in file.iter_batches(rows, columns=[self.name]):
                yield batch.column(0)

        self.check()

    def check(self) -> None:
        """Return if the file is the one whose other columns were read: labels belong to their
        images.

        Raises:
            DataError: It isn't.
        """
        stamp = None
        with suppress(OSError):
            stamp = stamp_of(self.source)

        if stamp != self.stamp:
            raise DataError(f"{self.file}: it has changed while it was read: start again")

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import pyarrow as pa

        self.check()
        try:
            with opened_at(self.source, BUFFER) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{self.file}: not readable as parquet: {first_line(error)}") from error


class Read(NamedTuple):
    """What was read of a file.

    Attributes:
        table: Arrow table; columns that are unread hold nulls there.
        unread: name -> column: `Unread`, or of numbers `UnreadNumbers`.
        categories: Columns that their writer calls categories; the table has their values.
        sha256: Of the bytes of an object that was downloaded; None of a local file.
    """

    table: Any
    unread: Mapping[str, Any]
    categories: frozenset[str] = frozenset()
    sha256: str | None = None

    def column(self, name: str) -> Any:
        """A column as it is in the file: an Arrow column, or an unread one."""
        return self.unread[name] if name in self.unread else self.table.column(name)


def read_parquet(file: str, source: Any) -> Read:
    """Read a parquet file.

    Args:
        file: For messages.
        source: Its path, or its content as an Arrow buffer.

    Raises:
        pa.ArrowException, OSError, ValueError: It isn't readable.
    """
    import pyarrow as pa

    stamp = stamp_of(source)

    with opened_at(source) as opened:
        schema = opened.schema_arrow
        later = [field.name for field in schema if is_image(field.type)]
        # a point in a name reads as a path into a struct, and a name that is there twice is told by
        # the caller
        plain = len(set(schema.names)) == len(schema.names) and not any(
            "." in name for name in schema.names
        )
        if not later or not plain:
            return Read(opened.read(), {})

        rows = opened.metadata.num_rows
        unread = {}
        for name in later:
            nbytes = sum(leaf.total_uncompressed_size for leaf in _leaves(opened, name))
            unread[name] = Unread(file, source, name, schema.field(name).type, rows, nbytes, stamp)

        rest = opened.read(columns=[name for name in schema.names if name not in unread])

    columns = [
        pa.nulls(rows, field.type) if field.name in unread else rest.column(field.name)
        for field in schema
    ]

    return Read(pa.Table.from_arrays(columns, schema=schema), unread)


def batches(column: Any, rows: int) -> Iterator[list[bytes | None]]:
    """Give a column of encoded images in lists of at most so many.

    Args:
        column: Without nulls: an Arrow column, or an unread one.
        rows: The most that a list has.

    Yields:
        The images; None for one that has a path in place of its bytes, nothing at all for what
        holds no bytes.
    """
    if isinstance(column, Unread):
        yield from map(_images, column.arrays(rows))
        return

    for chunk in column.chunks:
        for begin in range(0, len(chunk), rows):
            yield _images(chunk.slice(begin, rows))


def images_in(column: Any) -> list[bytes | None]:
    """Return the images of an Arrow column, see `batches`."""
    return [image for chunk in column.chunks for image in _images(chunk)]


def _images(array: Any) -> list[bytes | None]:
    if not array.type.num_fields:
        return array.to_pylist()  # type: ignore[no-any-return]
    found = array.field("bytes").to_pylist()
    return [
        data if isinstance(data, bytes) else _other(array[row].as_py())
        for row, data in enumerate(found)
    ]


def _other(value: Mapping[str, Any]) -> bytes | None:
    return None if value["bytes"] is None and value.get("path") else b""


def opened_at(source: Any, buffer: int = 0) -> Any:
    """Open a parquet file at a path, or an Arrow buffer that holds one.

    Args:
        source: The path, or the buffer.
        buffer: Bytes of each column that are read at a time. By itself pyarrow keeps whatever of
            the file it has read, until it is closed.
    """
    import pyarrow as pa
    import pyarrow.parquet

    # `ParquetFile` and not `read_table`: no `a=1` of a path becomes a column
    return pyarrow.parquet.ParquetFile(
        source if isinstance(source, str) else pa.BufferReader(source),
        buffer_size=buffer,
        pre_buffer=not buffer,
    )


def _leaves(file: Any, name: str) -> Iterator[Any]:
    """The metadata of a column in each group of rows; of a struct, those of its fields."""
    places = [
        i
        for i in range(file.metadata.num_columns)
        if file.schema.column(i).path.split(".")[0] == name
    ]
    for group in range(file.metadata.num_row_groups):
        for place in places:
            yield file.metadata.row_group(group).column(place)


def stamp_of(source: Any) -> tuple[int, ...]:
    """What changes with a file; nothing for a buffer, which can't change."""
    if not isinstance(source, str):
        return ()
    stat = Path(source).stat()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
