"""CSV files as tables of text."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renate.data.tables.csv_files.dialect import Dialect, name_of

# Rows up to this many bytes can be read; pyarrow's own bound is a sixteenth of it.
BLOCK = 1 << 24
OTHERS = (";", "\t", "|")


def unpacked(source: Any) -> Any:
    """Return the content of a gzip file, or of a buffer of one, as an Arrow buffer.

    Raises:
        ValueError: It isn't one, or is cut off.
    """
    import pyarrow as pa

    content = Path(source).read_bytes() if isinstance(source, str) else source.to_pybytes()
    try:
        return pa.py_buffer(gzip.decompress(content))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"it can't be unpacked: {error}") from error


def read_csv(source: Any, dialect: Dialect) -> Any:
    """Read a CSV file with a header as an Arrow table, every column as text.

    Args:
        source: Its path, or its content as an Arrow buffer.
        dialect: How it is written.

    Raises:
        ValueError: It is written otherwise.
    """
    import pyarrow as pa
    from pyarrow import csv

    buffer, names, options = _begun(source, dialect)
    with _said(names):
        return csv.read_csv(pa.BufferReader(buffer), **options)


def blocks_of_csv(source: str, dialect: Dialect) -> Iterator[Any]:
    """Read the same some rows at a time: yield Arrow tables, one at least.

    Raises:
        ValueError: It is written otherwise.
    """
    import pyarrow as pa
    from pyarrow import csv

    buffer, names, options = _begun(source, dialect)
    with _said(names), csv.open_csv(pa.BufferReader(buffer), **options) as reader:
        yield pa.Table.from_batches([], schema=reader.schema)
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _begun(source: Any, dialect: Dialect) -> tuple[Any, list[str], dict[str, Any]]:
    """The content in UTF-8, the names of its columns, and what pyarrow is told."""
    import pyarrow as pa
    from pyarrow import csv

    buffer = source
    if isinstance(source, str):
        buffer = pa.memory_map(source).read_buffer()

    buffer = _as_utf8(buffer, dialect)
    _check_start(buffer[: 1 << 16].to_pybytes(), dialect)

    reading = csv.ReadOptions(block_size=BLOCK)
    # a comment of several lines is one value, wherever a block ends
    parsing = csv.ParseOptions(newlines_in_values=True, delimiter=dialect.separator or ",")
    start = pa.BufferReader(buffer)
    try:
        with csv.open_csv(start, read_options=reading, parse_options=parsing) as reader:
            names = reader.schema.names
    except UnicodeDecodeError as error:
        raise ValueError(f"{error}: data.csv.encoding=latin-1, if it is that") from error

    converting = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return (
        buffer,
        names,
        {"read_options": reading, "parse_options": parsing, "convert_options": converting},
    )


@contextmanager
def _said(names: list[str]) -> Iterator[None]:
    """Say which column isn't UTF-8."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowInvalid as error:
        odd = re.search(r"column #(\d+).*invalid UTF8", str(error))
        if odd is None:
            raise
        raise ValueError(
            f"column '{names[int(odd[1])]}' isn't UTF-8, save the file as such, or say what it is: "
            "data.csv.encoding=latin-1"
        ) from error


def _as_utf8(buffer: Any, dialect: Dialect) -> Any:
    import pyarrow as pa

    if dialect.encoding in (None, "utf-8"):
        return buffer

    assert dialect.encoding is not None
    try:
        text = buffer.to_pybytes().decode(dialect.encoding)
    except UnicodeError as error:
        raise ValueError(f"it isn't data.csv.encoding={dialect.encoding}: {error}") from error

    return pa.py_buffer(text.removeprefix("\ufeff").encode())


def _check_start(start: bytes, dialect: Dialect) -> None:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
        raise ValueError(
            "it is UTF-16 or binary, expected UTF-8: save the file as UTF-8, or give "
            "data.csv.encoding=utf-16"
        )

    header = start.lstrip(b"\r\n").split(b"\n")[0]
    unquoted = b"".join(header.split(b'"')[::2]).decode(errors="replace")
    separator = dialect.separator or ","
    counts = {other: unquoted.count(other) for other in (",", *OTHERS) if other != separator}
    likely = max(counts, key=lambda other: counts[other])
    # Of a file that says what it is a name may hold any sign
    found = unquoted.count(separator)
    if not counts[likely] or (found and (dialect.separator is not None or likely == ",")):
        return
    if found > counts[likely]:
        return

    shown = "a tab" if likely == "\t" else f"'{likely}'"
    expected = "a tab" if separator == "\t" else f"'{separator}'"
    remedy = f"data.csv.separator={name_of(likely)}"
    if likely == ";":
        remedy += " (and data.csv.decimal=comma, if numbers are written so)"
    if found:
        remedy += f", or data.csv.separator={name_of(separator)} if '{likely}' is part of a name"
    raise ValueError(f"its columns are separated by {shown}, expected {expected}: {remedy}")
