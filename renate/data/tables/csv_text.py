"""CSV: what is text, and what is a number of which nothing is lost."""

import re
from collections.abc import Mapping
from typing import Any

from renate.data.tables.columns import strings

# Rows up to this many bytes can be read; pyarrow's own bound is a sixteenth of it.
BLOCK = 1 << 24
# What programs write for a value that isn't there. In a column of numbers it is one that is
# missing; in text it is text, since "NA" is Namibia's code.
MISSING = [
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "#NA",
    "NULL",
    "null",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "None",
    "<NA>",
]
# A zero in front or a plus sign is a spelling that a number wouldn't keep: 01067 is a postcode.
WHOLE = r"^(0|-?[1-9][0-9]*)$"
NUMBER = (
    r"^-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$|^-?(inf|Inf|INF|[Ii]nfinity)$"
)
BOOLEAN = r"^(true|True|TRUE|false|False|FALSE)$"


def read_csv(source: Any) -> Any:
    """Read a CSV file with a header as an Arrow table, every column as text.

    Raises:
        ValueError: Another encoding, or another separator than a comma.
    """
    import pyarrow as pa
    from pyarrow import csv

    buffer = source
    if isinstance(source, str):
        buffer = pa.memory_map(source).read_buffer()

    _check_start(buffer[: 1 << 16].to_pybytes())

    reading = csv.ReadOptions(block_size=BLOCK)
    # a comment of several lines is one value, wherever a block ends
    parsing = csv.ParseOptions(newlines_in_values=True)
    start = pa.BufferReader(buffer)
    with csv.open_csv(start, read_options=reading, parse_options=parsing) as reader:
        names = reader.schema.names

    converting = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    try:
        return csv.read_csv(
            pa.BufferReader(buffer),
            read_options=reading,
            parse_options=parsing,
            convert_options=converting,
        )
    except pa.ArrowInvalid as error:
        odd = re.search(r"column #(\d+).*invalid UTF8", str(error))
        if odd is None:
            raise
        raise ValueError(
            f"column '{names[int(odd[1])]}' isn't UTF-8, save the file as such"
        ) from error


def _check_start(start: bytes) -> None:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
        raise ValueError("it is UTF-16 or binary, expected UTF-8: save the file as UTF-8")

    header = start.lstrip(b"\r\n").split(b"\n")[0]
    unquoted = b"".join(header.split(b'"')[::2])
    if b"," in unquoted:
        return

    for separator, name in ((b";", "';'"), (b"\t", "a tab"), (b"|", "'|'")):
        if separator in unquoted:
            raise ValueError(
                f"its columns are separated by {name}, expected ',': save it with commas, and "
                "points in numbers"
            )


def typed(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same tables of text, with numbers and booleans in the columns that hold nothing
    else.

    A column has one kind in all tables, which depends on all their rows and on no order of them:
    int64 where every value is whole, else float64 where every value is a number, else boolean, else
    text as it is spelt. Digits that int64 can't hold stay text.

    Args:
        tables: file -> Arrow table of strings.
    """
    import pyarrow as pa

    result = dict(tables)

    for name in dict.fromkeys(name for table in tables.values() for name in table.column_names):
        holders = [file for file, table in tables.items() if name in table.column_names]
        chunks = [chunk for file in holders for chunk in tables[file].column(name).chunks]
        values = _values(pa.chunked_array(chunks, pa.string()))
        if values is None:
            continue

        begin = 0
        for file in holders:
            table = result[file]
            part = values.slice(begin, table.num_rows)
            begin += table.num_rows
            result[file] = table.set_column(table.column_names.index(name), name, part)

    return result


def _values(texts: Any) -> Any:
    """Return text as numbers or booleans, null where a value is missing; None where it must stay
    text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    missing = pc.is_in(trimmed, strings(MISSING))
    # Also of no rows at all: what they are like is the other files' to say
    if pc.all(missing).as_py():
        empty = pc.all(pc.equal(trimmed, strings([""])[0])).as_py()
        return pa.chunked_array([pa.nulls(len(texts))]) if empty else None

    filled = pc.if_else(missing, pa.nulls(1, pa.string())[0], trimmed)
    for pattern, kind in ((WHOLE, pa.int64()), (NUMBER, pa.float64()), (BOOLEAN, pa.bool_())):
        if pc.all(pc.match_substring_regex(filled, pattern)).as_py():
            try:
                return pc.utf8_lower(filled).cast(kind)
            except pa.ArrowInvalid:
                return None

    return None


def is_number(text: str) -> bool:
    """Whether a value would be one in a column of numbers."""
    return bool(re.match(NUMBER, text.strip())) or text.strip() in MISSING
