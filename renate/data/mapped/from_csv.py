"""CSV files of numbers that are larger than memory: written as parquet once, and read as that."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from renate.data.fingerprint import contents
from renate.data.mapped.rows import Scratch
from renate.data.tables.columns import first_line
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.csv_files.text import blocks_of_csv
from renate.data.tables.csv_files.typed import Spelling, without
from renate.data.tables.matching import index_columns
from renate.data.tables.roles.roles import Roles
from renate.errors import DataError
from renate.files import replacing

VERSION = 1  # of how they are written


def as_parquet(
    files: Sequence[str], dialect: Dialect, roles: Roles, scratch: Scratch
) -> dict[str, str] | None:
    """Return file -> a parquet file in the cache that holds the same; None where they fit into
    memory, are no CSV in UTF-8 on this machine, or have other inputs than numbers.

    What each column is follows from all files, as where they are read whole.

    Args:
        files: Paths and URLs.
        dialect: How they are written.
        roles: What the columns are for.
        scratch: Says what fits, and where the cache is.

    Raises:
        DataError: A file that isn't readable, or no room.
    """
    plain = all(file.lower().endswith(".csv") and "://" not in file for file in files)
    if not plain or dialect.encoding not in (None, "utf-8"):
        return None
    if sum(_size(file) for file in files) <= scratch.max_ram:
        return None

    schemas = _schemas(files, dialect)
    if any(numbers_in(schema, roles) is None for schema in schemas.values()):
        return None

    hashes = contents(files, scratch.folder)
    return {
        file: str(_written(file, content, schemas[file], dialect, scratch.folder))
        for file, content in zip(files, hashes, strict=True)
    }


def _size(file: str) -> int:
    try:
        return Path(file).stat().st_size
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from error


def _schemas(files: Sequence[str], dialect: Dialect) -> dict[str, Any]:
    """The Arrow schema of each file; a column has one type in all of them."""
    import pyarrow as pa

    found: dict[str, Spelling] = {}
    names: dict[str, list[str]] = {}
    for file in files:
        for block in _blocks(file, dialect):
            names[file] = block.column_names
            for name, column in zip(block.column_names, block.columns, strict=True):
                found.setdefault(name, Spelling(dialect)).widen(without(column, dialect.missing))

    kinds = {name: spelling.kind for name, spelling in found.items()}
    return {
        file: pa.schema([(name, kinds[name] or pa.string()) for name in columns])
        for file, columns in names.items()
    }


def _blocks(file: str, dialect: Dialect) -> Iterator[Any]:
    import pyarrow as pa

    try:
        yield from blocks_of_csv(file, dialect)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as csv: {first_line(error)}") from error


def _written(file: str, content: str, schema: Any, dialect: Dialect, folder: Path) -> Path:
    """The parquet file, written if it isn't there yet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    key = json.dumps([VERSION, content, repr(dialect), schema.to_string()])
    path = folder / f"csv-{hashlib.sha256(key.encode()).hexdigest()[:24]}.parquet"
    if path.is_file():
        return path

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            with pq.ParquetWriter(str(temporary), schema) as writer:
                for block in _blocks(file, dialect):
                    writer.write_table(_typed(block, schema, dialect))

            # Else it would stand for a content that it hasn't, whenever that comes again
            if contents([file], folder) != [content]:
                raise DataError(f"{file}: it has changed while it was read: start again")
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise DataError(
            f"{folder}: {file} can't be kept there as parquet ({reason}): make room, or name "
            "another folder by data.cache_dir"
        ) from error

    return path


def _typed(block: Any, schema: Any, dialect: Dialect) -> Any:
    """A block of text in the types of a schema."""
    import pyarrow as pa

    columns: list[Any] = []
    for field, column in zip(schema, block.columns, strict=True):
        texts = without(column, dialect.missing)
        if pa.types.is_null(field.type):
            columns.append(pa.nulls(len(texts)))
        elif pa.types.is_string(field.type):
            columns.append(texts)
        else:
            columns.append(Spelling(dialect).cast(texts, field.type))

    return pa.table(columns, schema=schema)


def numbers_in(schema: Any, roles: Roles) -> tuple[str, ...] | None:
    """The columns of numbers that would be inputs; None where there are others, or none."""
    import pyarrow as pa

    index = index_columns(schema)
    names = [name for name in schema.names if name not in roles.no_inputs and name not in index]
    if roles.inputs is not None:
        names = [name for name in roles.inputs if name in schema.names]

    # A point in a name reads as a path into a struct
    unique = len(set(schema.names)) == len(schema.names)
    if not names or not unique or any("." in name for name in schema.names):
        return None

    types = [schema.field(name).type for name in names]
    is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    if not all(any(test(kind) for test in is_number) for kind in types):
        return None

    return tuple(names)
