"""Files -> Arrow tables, by suffix."""

import io
import json
import re
from pathlib import Path
from typing import Any

from renate.data import remote
from renate.errors import DataError, nearest

SUFFIXES = (".parquet", ".csv", ".json", ".jsonl")
# A number is written without a plus sign and without leading zeros: 007 is a code.
PADDED = r"^\s*(\+|-?0[0-9])"
MISSING = ("NA", "N/A", "NaN", "nan", "NULL", "null", "None", "none", "n/a", "<NA>", "#N/A")
TRUTH = {"true": True, "false": False}
INDEX = re.compile(r"(__index_level_\d+__|Unnamed: 0(\.\d+)?|)")


def read_file(file: str) -> Any:
    """Read one file, or one object by its URL, as an Arrow table.

    Raises:
        DataError: An unknown suffix, or content that isn't what the suffix says.
    """
    import pyarrow as pa
    import pyarrow.parquet

    suffix = Path(file).suffix.lower()
    readers: dict[str, Any] = {
        ".parquet": lambda source: pyarrow.parquet.ParquetFile(source).read(),  # no `a=1` of a path becomes a column
        ".csv": read_csv,
        ".json": read_json,
        ".jsonl": read_json,
    }
    if suffix not in readers:
        raise DataError(_unknown(file, suffix))
    try:
        if suffix == ".parquet":
            table = readers[suffix](_buffer(file) if "://" in file else file)
        else:
            table = readers[suffix](bytes(remote.read(file)) if "://" in file else Path(file).read_bytes())
        table.schema.names  # noqa: B018 (names are decoded only here)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as {suffix[1:]}: {first_line(error)}") from error
    return table


def _buffer(file: str) -> Any:
    import pyarrow as pa

    return pa.BufferReader(pa.py_buffer(remote.read(file)))


def _unknown(file: str, suffix: str) -> str:
    advice = nearest(suffix, SUFFIXES)
    if suffix in (".gz", ".zip", ".bz2", ".xz", ".zst"):
        advice = "; decompress it first"
    elif suffix in (".tsv", ".tab", ".txt"):
        advice = "; of a table separated by tabs make a CSV file with commas first"
    elif suffix in (".xls", ".xlsx", ".ods"):
        advice = "; save the sheet as CSV first"
    elif not suffix:
        advice = f"; if it is none of yours, leave it out: {Path(file).parent}/*.csv"
    named = f"unknown suffix '{suffix}'" if suffix else "no suffix says what it is"
    return f"{file}: {named}, expected one of {', '.join(SUFFIXES)}{advice}"


def read_csv(content: bytes) -> Any:
    """Read CSV: commas, a header, UTF-8. Each column's kind follows from all of its values, not from the first ones.

    Raises:
        ValueError: Another encoding, or another separator.
    """
    import pyarrow as pa
    import pyarrow.csv

    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:4]:
        raise ValueError("it is UTF-16: save it as UTF-8")
    header = _header(content)
    names = next(iter_csv(header))
    _check_separator(names, header)
    text = {name: pa.string() for name in names}
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=text, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            found = re.search(r"column #(\d+)", str(error))
            name = names[int(found[1])] if found and int(found[1]) < len(names) else ""
            raise ValueError(f"column '{name}' isn't UTF-8, save the file as such") from error
        raise
    return pa.table([typed(table.column(i)) for i in range(table.num_columns)], names=table.column_names)


def _header(content: bytes) -> str:
    """The first line, which may go on within quotes."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 20)[:20]
    text = ""
    for line in lines:
        text += line.decode("utf-8", "replace").rstrip("\r") + "\n"
        if text.count('"') % 2 == 0 and text.strip():
            break
    return text


def iter_csv(text: str) -> Any:
    import csv

    return csv.reader(io.StringIO(text, newline=""))


def _check_separator(names: list[str], header: str) -> None:
    if len(names) > 1:
        return
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if mark in header:
            raise ValueError(f"its columns are separated by {word}: save it with commas, and decimals with points")


def typed(column: Any) -> Any:
    """A column of text as what it holds: integers, numbers, truth values, or text as it is.

    An empty value, and in a column of numbers a word for a missing one, becomes null; in text such a word may be meant
    (NA is Namibia), and stays.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    blank = pc.equal(column, "")
    words = pc.or_(blank, pc.is_in(column, value_set=pa.array(MISSING)))
    values = pc.if_else(words, None, column)
    if values.null_count == len(values):
        return pc.if_else(blank, None, column)
    if pc.any(pc.match_substring_regex(values, PADDED)).as_py():
        return pc.if_else(blank, None, column)
    for kind in (pa.int64(), pa.uint64(), pa.float64()):
        try:
            return pc.utf8_trim_whitespace(values).cast(kind)
        except pa.ArrowInvalid:
            continue
    lower = pc.utf8_lower(values)
    if pc.all(pc.is_in(lower, value_set=pa.array([*TRUTH])), min_count=0).as_py():
        return pc.equal(lower, "true")
    return pc.if_else(blank, None, column)


def read_json(content: bytes) -> Any:
    """Read JSON as an Arrow table: an object per line, or one list of objects.

    Raises:
        ValueError: Something else, or a word such as NaN that JSON doesn't have.
    """
    import pyarrow.json

    if content.lstrip()[:1] == b"[":
        rows = json.loads(content, parse_constant=_refuse)
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("expected a list of objects, or an object per line")
        content = "\n".join(json.dumps(row) for row in rows).encode()
    size = max((len(line) for line in content.split(b"\n")), default=0) + 1
    options = pyarrow.json.ReadOptions(block_size=max(1 << 20, 2 * size))  # a row must lie in one block
    return pyarrow.json.read_json(io.BytesIO(content), read_options=options)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON: leave the value out, or null")


def index_columns(table: Any) -> list[str]:
    """Columns that a writer has added to number or name the rows, which say nothing of an example."""
    known: list[str] = []
    metadata = table.schema.pandas_metadata or {}
    for entry in metadata.get("index_columns", []) if isinstance(metadata, dict) else []:
        if isinstance(entry, str):
            known.append(entry)
    first = table.column_names[:1]
    return [name for name in table.column_names if name in known or (INDEX.fullmatch(name) and [name] == first)]


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "".join(c for c in lines[0] if c.isprintable())
