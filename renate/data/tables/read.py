"""Files -> Arrow tables, by suffix."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from renate.data.tables import remote
from renate.data.tables.columns import converted, first_line, is_text, strings
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.csv_files.text import read_csv, unpacked
from renate.data.tables.csv_files.typed import typed
from renate.data.tables.parquet import Read, read_parquet
from renate.errors import DataError

PLAIN = Dialect()
PACKED = (".csv", ".json", ".jsonl")


def read_files(
    files: Sequence[str], dialect: Dialect = PLAIN, as_text: Collection[str] = ()
) -> dict[str, Read]:
    """Read files, or objects by their URLs: file -> what was read of it.

    Columns of images stay in parquet files until they are needed. What is a number in CSV is
    decided over all files, so that a column has one kind whichever file or row comes first.
    Categories (dictionary columns) come as the values that they stand for.

    Args:
        files: Paths and URLs; of CSV and JSON also those packed by gzip, `.csv.gz`.
        dialect: How CSV is written.
        as_text: Columns of CSV that stay text, whatever is in them.

    Raises:
        DataError: An unknown suffix, or content that isn't what the suffix says.
    """
    tables = {file: _read(file, dialect) for file in files}
    texts = {file: read.table for file, read in tables.items() if _suffix(file) == ".csv"}
    found = typed(texts, dialect, as_text)
    return tables | {file: tables[file]._replace(table=table) for file, table in found.items()}


def _suffix(file: str) -> str:
    """What a file is, by its name; of one that is packed, what is in it."""
    rest, suffix = os.path.splitext(file.lower())  # noqa: PTH122 (a Path takes ten times as long)
    if suffix == ".gz":
        _, packed = os.path.splitext(rest)  # noqa: PTH122
        if packed in PACKED:
            return packed

    return suffix


def _read(file: str, dialect: Dialect) -> Read:
    import pyarrow as pa

    suffix = _suffix(file)
    readers: dict[str, Any] = {
        ".parquet": lambda source: read_parquet(file, source),
        ".csv": lambda source: Read(read_csv(source, dialect), {}),
        ".json": lambda source: Read(read_json(source), {}),
        ".jsonl": lambda source: Read(read_json(source), {}),
    }

    if suffix not in readers:
        remedy = "name the files by a glob such as folder/*.csv, or convert them"
        if suffix in (".gz", ".bz2", ".xz", ".zst", ".zip"):
            remedy = "unpack it first; of .csv.gz and .jsonl.gz that isn't needed"
        if suffix in (".tsv", ".tab", ".txt"):
            remedy = "save it with commas between the columns, as .csv, or name it .csv and give "
            remedy += "data.csv.separator=tab"
        found = ", ".join(readers)
        raise DataError(f"{file}: unknown suffix '{suffix}', expected one of {found}: {remedy}")

    source = file
    sha256 = None
    if "://" in file:
        content = remote.read(file)
        source = pa.py_buffer(content)
        sha256 = hashlib.sha256(content).hexdigest()

    try:
        if file.lower().endswith(".gz"):
            source = unpacked(source)

        table, unread, *_ = readers[suffix](source)
        _ = table.schema.names  # names are decoded only here
        names = [name for name, count in Counter(table.column_names).items() if count > 1]
        if names:
            raise DataError(f"{file}: column '{names[0]}' is there twice: rename one")

        categories = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
        return Read(plain(table), unread, frozenset(categories), sha256)
    except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{file}: not readable as {suffix[1:]}: {first_line(error)}") from error


def plain(table: Any) -> Any:
    """Return the table with values in place of dictionary codes, and text of one type."""
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        kind = field.type
        column = table.column(index)
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
            column = column.cast(kind)
        if pa.types.is_large_string(kind) or kind == pa.string_view():
            kind = pa.string()
            column = column.cast(kind)
        if kind != field.type:
            table = table.set_column(index, field.name, column)

    return table


def read_json(source: Any) -> Any:
    """Read JSON as an Arrow table: an object per line, or one list of objects.

    Raises:
        ValueError: What isn't JSON (NaN isn't), a key that an object has twice, or a column of
            several kinds.
    """
    if isinstance(source, str):
        content = Path(source).read_bytes()
    else:
        content = source.to_pybytes()

    text = content.decode("utf-8-sig")
    if text.lstrip()[:1] == "[":
        rows = _json_list(text)
    else:
        rows = _json_lines(text)

    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}

    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"column '{name}': {first_line(error)}") from error

    return pa.table(columns)


def _json_list(text: str) -> list[dict[str, Any]]:
    rows = _parse(text)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f"row {number} is no object")
    return list(rows)


def _json_lines(text: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue

        try:
            row = _parse(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {first_line(error)}") from error

        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no object")

        rows.append(row)
    return rows


def _parse(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        raise ValueError(f"key '{twice[0]}' is there twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON: give a number, or drop the row")


def empty_values(column: Any) -> int:
    """Count the values that aren't there; in text also those without a character."""
    if not is_text(column.type):
        return int(column.null_count)

    import pyarrow.compute as pc

    blank = pc.sum(pc.equal(column, strings([""])[0])).as_py() or 0
    return int(column.null_count + blank)


def joined(files: Sequence[str], tables: Sequence[Any]) -> Any:
    """Return one table of several with the same columns in the same order.

    Raises:
        DataError: Columns of one name that are of kinds which can't be one, or hold what the
            other's can't.
    """
    import pyarrow as pa

    schema = tables[0].schema

    for file, table in zip(files, tables, strict=True):
        if table.schema.equals(schema):
            continue

        try:
            schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"{file}: its columns differ in kind from {files[0]}: {first_line(error)}"
            ) from error

    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid:
        for file, table in zip(files, tables, strict=True):
            for name in table.column_names:
                kind = schema.field(name).type
                converted(table.column(name), kind, f"{file}: column '{name}'")
        raise
