"""Columns of Arrow: what they hold, and as NumPy arrays without loading pandas."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from renate.errors import DataError

Array = np.ndarray[Any, Any]


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is `string` or `large_string`."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_image(kind: Any) -> bool:
    """Whether an Arrow type holds encoded images: binary, or the Hub's struct with `bytes`."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def to_numpy(column: Any) -> Array:
    """Return a column without nulls as pyarrow's own `to_numpy` does, which loads pandas first.

    Args:
        column: ChunkedArray [N] of integers, floats, booleans or text.

    Returns:
        [N] of the same type; of text, `object`.
    """
    import pyarrow as pa

    assert not column.null_count
    if is_text(column.type):
        return np.array(column.to_pylist(), object)

    view = _booleans if pa.types.is_boolean(column.type) else np.from_dlpack
    nothing = pa.nulls(0, column.type)  # of a column without chunks too the type is known

    return np.concatenate([view(chunk) for chunk in (nothing, *column.chunks)])


def _booleans(chunk: Any) -> Array:
    if not len(chunk):
        return np.empty(0, bool)
    bits = np.frombuffer(chunk.buffers()[1], np.uint8)
    values = np.unpackbits(bits, count=chunk.offset + len(chunk), bitorder="little")
    return values[chunk.offset :].astype(bool)


def converted(column: Any, kind: Any, where: str) -> Any:
    """Return a column in the kind in which other files have it.

    Args:
        column: Of Arrow.
        kind: Of Arrow.
        where: Its file and name, for messages.

    Raises:
        DataError: It holds a value that this kind can't.
    """
    import pyarrow as pa

    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{where} is {column.type}, in another file {kind}, which can't hold all of it "
            f"({first_line(error)}): write both alike"
        ) from error


def strings(values: Sequence[str]) -> Any:
    """Return an Arrow array of strings, as `pa.array` does, which loads pandas first."""
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def first_line(error: Exception) -> str:
    """Return the printable characters of the first line of an error's message; of an empty one, the
    name of the error's class.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "".join(c for c in lines[0] if c.isprintable())
