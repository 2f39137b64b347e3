"""Images that are files of their own, some at a time, as rows of tables."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from renate.data.fingerprint import open_file
from renate.data.images.decode import CorruptError
from renate.data.images.sources.table import path_in
from renate.data.raw.chunks import RawChunk
from renate.data.tables.columns import is_text, strings
from renate.errors import DataError

ROWS = 256  # images that are in memory, encoded, at a time


def of_files(paths: Sequence[str], column: str) -> Iterator[RawChunk]:
    """Yield the images of files as tables: where each is, `file`, and its bytes.

    Args:
        paths: Paths and URLs.
        column: What the bytes are called.
    """
    import pyarrow as pa

    for first in range(0, len(paths), ROWS):
        names = paths[first : first + ROWS]
        table = pa.table({file_column(column): strings(names), column: _bytes_of(names)})
        yield RawChunk(names[0], first, table, names)


def file_column(column: str) -> str:
    """Return what the column is called that says which file a row is, beside that of images."""
    return "path" if column == "file" else "file"


def of_tables(chunks: Iterator[RawChunk], column: str, folder: str | None) -> Iterator[RawChunk]:
    """Yield the rows of tables, with images in place of their paths.

    Args:
        chunks: Rows; those that hold encoded images stay as they are.
        column: Of the paths.
        folder: What they are relative to; None is the folder of each table.

    Raises:
        DataError: A path leads nowhere.
    """
    for chunk in chunks:
        names = chunk.table.column_names
        if column not in names or not is_text(chunk.table.column(column).type):
            yield chunk
            continue

        base = chunk.file.rpartition("/")[0] if folder is None else folder
        for begin in range(0, chunk.table.num_rows, ROWS):
            part = chunk.table.slice(begin, ROWS)
            paths = [None if p is None else path_in(base, p) for p in _values(part, column)]
            table = part.set_column(names.index(column), column, _bytes_of(paths))
            shown = [str(path) for path in paths]
            yield RawChunk(chunk.file, chunk.first + begin, table, shown)


def without_corrupt(
    chunk: RawChunk, read: Callable[[RawChunk], Any], say: Callable[[str], None]
) -> RawChunk:
    """Return the rows of images that can be decoded.

    Args:
        chunk: Rows.
        read: Decodes the images of some.
        say: Is told of each that can't be.

    Raises:
        DataError: Something else is wrong with a row.
    """
    import pyarrow as pa

    kept = []
    for row in range(chunk.table.num_rows):
        names = chunk.names[row : row + 1]
        try:
            read(RawChunk(chunk.file, chunk.first + row, chunk.table.slice(row, 1), names))
        except DataError as error:
            if not isinstance(error.__cause__, CorruptError):
                raise
            say(f"left out: {error}")
        else:
            kept.append(row)

    names = [chunk.names[row] for row in kept] if chunk.names else []
    return chunk._replace(table=chunk.table.take(pa.array(kept, pa.int64())), names=names)


def _values(table: Any, column: str) -> list[str | None]:
    found: list[str | None] = table.column(column).to_pylist()
    return found


def _bytes_of(paths: Sequence[str | None]) -> Any:
    import pyarrow as pa

    images: list[bytes | None] = []
    for path in paths:
        if path is None:
            images.append(None)
            continue
        with open_file(path) as file:
            images.append(file.read())

    return pa.array(images, pa.large_binary())
