"""Columns of Arrow tables -> labels and numbers, without losing anything on the way."""

from typing import Any

import numpy as np

from renate.data.inputs import BOOLEAN, IMAGE, NUMBER
from renate.errors import DataError

EXACT = 1 << 24  # integers up to here are themselves in float32
TEXT, LISTS, OTHER, EMPTY = "text", "list", "other", "empty"

PLAIN_NUMBER = r"^\s*-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*$"

Values = np.ndarray[Any, Any]


def kind_of(kind: Any) -> str:
    """What an Arrow type is to a model: number, boolean, image, text, list, empty or other."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if types.is_boolean(kind):
        return BOOLEAN
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NUMBER
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return TEXT
    if is_image(kind):
        return IMAGE
    if types.is_null(kind):
        return EMPTY
    return LISTS if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind) else OTHER


def is_image(kind: Any) -> bool:
    """Whether an Arrow type holds encoded images: binary, or the Hub's struct with `bytes`."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def plain(column: Any) -> Any:
    """A column without its dictionary."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def first_empty(column: Any) -> int | None:
    """The row of the first value that isn't there; in text also one without a character, which CSV makes of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = plain(column)
    missing = pc.is_null(column)
    if kind_of(column.type) == TEXT:
        missing = pc.or_kleene(missing, pc.equal(column, ""))
    found = pc.index(pc.fill_null(missing, True), pa.scalar(True)).as_py()
    return None if found < 0 else int(found)


def first_word(column: Any) -> int:
    """The row of the first value of a text column that is no plain number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plainly = pc.match_substring_regex(plain(column), PLAIN_NUMBER)
    found = pc.index(pc.fill_null(plainly, False), pa.scalar(False)).as_py()
    return max(0, int(found))


def labels_of(column: Any, where: str) -> Values:
    """Labels [N]: integers (booleans and whole numbers as such), or text as it is spelled.

    Raises:
        DataError: Values that are no labels, or integers that int64 can't hold.
    """
    import pyarrow as pa

    column = plain(column)
    kind = kind_of(column.type)
    if kind == TEXT:
        return np.asarray(column.to_pylist(), dtype=np.str_)
    if kind not in (NUMBER, BOOLEAN) or not len(column):
        if not len(column):
            return np.empty(0, np.int64)
        raise DataError(f"{where} is {column.type}, a label is an integer, a boolean or text")
    try:
        return _numpy(column.cast(pa.int64()))
    except pa.ArrowInvalid as error:
        values = _numpy(column.cast(pa.float64())) if not pa.types.is_integer(column.type) else None
        odd = None if values is None else int(np.flatnonzero(values != np.floor(values))[:1].sum())
        if odd is None:
            raise DataError(f"{where} has an integer beyond 64 bits: give such labels as text") from error
        value = column[odd].as_py()
        raise DataError(
            f"{where}, row {odd + 1}: {value}, a label is an integer, a boolean or text, and no fraction"
        ) from error


def numbers_of(column: Any, where: str) -> Values:
    """Values as float32 [N]; what that can't hold becomes infinite, which the caller refuses.

    Raises:
        DataError: Whole numbers that float32 would make equal.
    """
    import pyarrow as pa

    column = plain(column)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values = _numpy(column)
    with np.errstate(over="ignore"):
        found: Values = values.astype(np.float32)
    if values.dtype.kind in "iuf" and values.dtype != np.float32 and len(values):
        _check_merged(values, found, where)
    return found


def _check_merged(values: Values, found: Values, where: str) -> None:
    largest = max(abs(float(values.max())), abs(float(values.min())))
    if not EXACT < largest < np.inf:
        return
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        return  # measured, not counted: the last digits of a fraction are noise
    own, first = np.unique(values, return_index=True)
    if len(np.unique(found[first])) == len(own):
        return
    merged = next(i for i in range(1, len(own)) if np.float32(own[i]) == np.float32(own[i - 1]))
    row = int(np.flatnonzero(values == own[merged])[0])
    raise DataError(
        f"{where}: {_exact(own[merged - 1])} and {_exact(own[merged])} (row {row + 1}) would be the same number to the "
        "model, which has 24 bits for it: subtract an offset first, leave an id out by data.inputs, or cut it in two"
    )


def _exact(value: Any) -> str:
    return str(int(value))


def _numpy(column: Any) -> Values:
    """A column as one array. A chunked one's own `to_numpy` would import pandas, which takes a third of a second."""
    import pyarrow as pa

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # none or several chunks are left where there are no rows
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    values: Values = whole.to_numpy(zero_copy_only=False)
    return values
