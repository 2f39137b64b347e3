"""Files -> Arrow tables, by suffix."""

import io
import json
from pathlib import Path
from typing import Any

from renate.data import remote
from renate.errors import DataError


def read_file(file: str) -> Any:
    """Read one file, or one object by its URL, as an Arrow table.

    Raises:
        DataError: An unknown suffix, or content that isn't what the suffix says.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    suffix = Path(file).suffix.lower()
    readers: dict[str, Any] = {
        ".parquet": lambda source: pyarrow.parquet.ParquetFile(source).read(),  # no `a=1` of a path becomes a column
        ".csv": pyarrow.csv.read_csv,
        ".json": read_json,
        ".jsonl": read_json,
    }
    if suffix not in readers:
        raise DataError(f"{file}: unknown suffix '{suffix}', expected one of {', '.join(readers)}")
    source = pa.BufferReader(pa.py_buffer(remote.read(file))) if "://" in file else file
    try:
        table = readers[suffix](source)
        names, kinds = table.schema.names, table.schema.types  # names are decoded only here
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as {suffix[1:]}: {first_line(error)}") from error
    odd = [name for name, kind in zip(names, kinds, strict=True) if pa.types.is_binary(kind)]
    if odd and suffix == ".csv":  # what pyarrow makes of text that isn't UTF-8
        raise DataError(f"{file}: not readable as csv: column '{odd[0]}' isn't UTF-8, save the file as such")
    return table


def read_json(source: Any) -> Any:
    """Read JSON as an Arrow table: an object per line, or one list of objects."""
    import pyarrow.json

    content: bytes = Path(source).read_bytes() if isinstance(source, str) else source.read()
    if content.lstrip()[:1] == b"[":
        content = "\n".join(json.dumps(row) for row in json.loads(content)).encode()
    return pyarrow.json.read_json(io.BytesIO(content))


def is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_image(kind: Any) -> bool:
    """Whether an Arrow type holds encoded images: binary, or the Hub's struct with `bytes`."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def empty_values(column: Any) -> int:
    """Count the values that aren't there; in text also those without a character, which is what CSV makes of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    blank = pc.sum(pc.equal(column, "")).as_py() or 0 if is_text(column.type) else 0
    return int(column.null_count + blank)


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "".join(c for c in lines[0] if c.isprintable())
