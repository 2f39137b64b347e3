"""Rows as users hold them in Python, as one Arrow table: frames, columns by name, rows by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from renate.data.tables.columns import first_line
from renate.errors import DataError, nearest


def is_named(raw: Any) -> bool:
    """Whether raw inputs say the names of their columns."""
    if isinstance(raw, Mapping) or _is_frame(raw):
        return True
    return isinstance(raw, list | tuple) and bool(raw) and isinstance(raw[0], Mapping)


def is_row(raw: Any) -> bool:
    """Whether raw inputs are those of one example by name, and no columns."""
    several = (list, tuple, np.ndarray, Tensor)
    if not isinstance(raw, Mapping) or not raw:
        return False
    return not any(isinstance(value, several) or _is_column(value) for value in raw.values())


def table_of(raw: Any, names: Sequence[str]) -> Any:
    """Return named raw inputs as an Arrow table.

    Args:
        raw: A frame of pandas or polars, an Arrow table, or whatever else gives its columns in
            Arrow's stream; name -> values [N]; a list of rows, name -> value; or one such row.
        names: The columns that are needed: of rows and columns by name no others are read.

    Raises:
        DataError: A column that isn't there, columns of several lengths, rows that have other names
            than the first, or values of which no column can be made.
    """
    import pyarrow as pa

    try:
        if _is_frame(raw):
            return _of_frame(raw)
        if is_row(raw):
            raw = [raw]
        if isinstance(raw, Mapping):
            return _of_columns(raw, names)
        return _of_rows(raw, names)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise DataError(f"inputs: {first_line(error)}") from error


def _is_frame(raw: Any) -> bool:
    if isinstance(raw, type):
        return False
    return (hasattr(raw, "__arrow_c_stream__") and hasattr(raw, "columns")) or _is_batch(raw)


def _is_batch(raw: Any) -> bool:
    return hasattr(raw, "schema") and hasattr(raw, "__arrow_c_array__")


def _is_column(value: Any) -> bool:
    """Whether a value is a column: a series of pandas or polars, an Arrow array."""
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")


def _of_frame(raw: Any) -> Any:
    import pyarrow as pa

    if type(raw).__module__.startswith("pandas"):
        return pa.Table.from_pandas(raw, preserve_index=False)
    if _is_batch(raw) and not isinstance(raw, pa.Table):
        return pa.Table.from_batches([pa.record_batch(raw)])
    return pa.table(raw)


def _of_columns(raw: Mapping[Any, Any], names: Sequence[str]) -> Any:
    import pyarrow as pa

    _check_names(raw, names, "inputs")
    columns = {}
    for name in names:
        try:
            columns[name] = _column(raw[name])
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
            raise DataError(f"inputs: column '{name}': {first_line(error)}") from error

    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"inputs: its columns have unequally many rows: {lengths}")

    return pa.table(columns)


def _column(values: Any) -> Any:
    import pyarrow as pa

    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ndarray) and values.ndim > 1:
        values = values.tolist()
    if type(values).__module__.startswith("pandas"):
        return pa.Array.from_pandas(values)
    return pa.chunked_array(values) if hasattr(values, "__arrow_c_stream__") else pa.array(values)


def _of_rows(raw: Any, names: Sequence[str]) -> Any:
    import pyarrow as pa

    first = raw[0]
    for number, row in enumerate(raw):
        where = f"inputs: row {number} (the first is 0)"
        if not isinstance(row, Mapping):
            kind = type(row).__name__
            raise DataError(f"{where} is {kind}, expected name -> value as in the first")

        _check_names(row, names, where)
        odd = sorted(map(str, row.keys() ^ first.keys()))
        if odd:
            raise DataError(f"{where} has other names than the first: '{odd[0]}' is in one only")

    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([row[name] for row in raw])
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
            raise DataError(f"inputs: column '{name}': {first_line(error)}") from error

    return pa.table(columns)


def _check_names(there: Mapping[Any, Any], names: Sequence[str], where: str) -> None:
    for name in names:
        if name not in there:
            found = [str(other) for other in there]
            hint = nearest(name, found) or f" ({', '.join(found[:10])})"
            raise DataError(f"{where}: no column '{name}', which the state has{hint}")
