"""What the columns of tables hold: where each value came from, numbers in a kind that loses
nothing, lists spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from renate.data.tables.columns import is_text, to_numpy
from renate.data.tables.csv_files.typed import is_number
from renate.data.tables.exact import float32
from renate.errors import DataError


@dataclass(frozen=True)
class Places:
    """Where the rows of several files that were read one after the other came from.

    Args:
        files: In their order.
        rows: How many each has.
        kept: Of a file of which rows were dropped those that were kept, int64 [rows].
    """

    files: list[str]
    rows: list[int]
    kept: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The file; of several the first, and how many more: for messages about all their rows."""
        more = len(self.files) - 1
        return f"{self.files[0]} and {more} more" if more else self.files[0]

    def row_in(self, file: str, row: int) -> int:
        """Return a file's own number of the row that was read as its `row`th."""
        return int(self.kept[file][row]) if file in self.kept else row

    def of(self, row: int) -> tuple[str, int]:
        """Return the file of a row of all files, and the row there, from 0."""
        for file, count in zip(self.files, self.rows, strict=True):
            if row < count:
                return file, self.row_in(file, row)
            row -= count
        raise AssertionError("a row of no file")


def is_list(kind: Any) -> bool:
    """Whether an Arrow type holds lists, of one fixed length or of any."""
    import pyarrow as pa

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def is_numeric(kind: Any) -> bool:
    """Whether an Arrow type holds integers, floats, booleans or decimals, or lists of these; lists
    of lists don't count.
    """
    import pyarrow as pa

    if is_list(kind):
        return is_numeric(kind.value_type) and not is_list(kind.value_type)
    types = pa.types
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(number or types.is_decimal(kind))


def no_numbers(column: Any, name: str, good: list[str], places: Places) -> str:
    """Say what a column that isn't numbers holds, where, and what to do."""
    remedy = f"make numbers of it (docs/limits.md), or use data.inputs={good}"
    if not good:
        remedy = "make numbers of it (docs/limits.md), no other column has any"

    text = is_text(column.type)
    for row, scalar in enumerate(column if text else []):
        value = scalar.as_py()
        if value is None or is_number(value):
            continue
        file, row = places.of(row)
        if len(value) <= 40:
            shown = value
        else:
            shown = f"{value[:40]}…"

        what = f"{file}: column '{name}' is {column.type}"
        return f"{what}, expected numbers or images (row {row} holds {shown!r}): {remedy}"

    what = f"{places.title}: column '{name}' is {column.type}"
    found = ""
    if text and len(column):
        found = f" (row 0 holds {column[0].as_py()!r}: text, or digits beyond int64)"

    return f"{what}, expected numbers or images{found}: {remedy}"


def numbers(column: Any, name: str, places: Places) -> Any:
    """Return a column of numbers or booleans in a kind that NumPy has; of decimals integers or
    floats.

    Raises:
        DataError: Whole numbers beyond int64.
    """
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        return column.cast(_decimal_as(column, name, places))
    return column


def vectors(table: Any, places: Places) -> np.ndarray[Any, Any]:
    """Return columns of numbers as float32 [N, C], a column after the other.

    Raises:
        DataError: One holds something else, or what float32 can't tell apart.
    """
    bad = [name for name in table.column_names if not is_numeric(table.column(name).type)]
    if bad:
        good = [name for name in table.column_names if name not in bad]
        raise DataError(no_numbers(table.column(bad[0]), bad[0], good, places))

    found = np.empty((table.num_rows, table.num_columns), np.float32)
    for index, name in enumerate(table.column_names):
        column = numbers(table.column(name), name, places)
        found[:, index] = float32(to_numpy(column), f"{places.title}: column '{name}'")

    return found


def spread(file: str, table: Any, but: Sequence[str] = ()) -> Any:
    """Return a table whose columns of lists, all of one length, are a column a place: `name[0]`,
    `name[1]`, …

    Args:
        file: For messages.
        table: Any Arrow table.
        but: Columns that stay as they are.

    Raises:
        DataError: Lists of numbers that are of several lengths, empty, or lack a value.
    """
    columns: dict[str, Any] = {}
    for index, name in enumerate(table.column_names):
        column = table.column(index)
        if name not in but and is_list(column.type) and is_numeric(column.type) and table.num_rows:
            columns |= _places_of(column, name, Places([file], [table.num_rows]))
        else:
            if name in columns:  # told by the caller, which names the file
                return table
            columns[name] = column

    if list(columns) == table.column_names:
        return table

    import pyarrow as pa

    return pa.table(columns).replace_schema_metadata(table.schema.metadata)


def _places_of(column: Any, name: str, places: Places) -> dict[str, Any]:
    import pyarrow.compute as pc

    if column.null_count:
        raise DataError(
            f"{places.title}: column '{name}' has {column.null_count} empty values: drop those rows"
        )

    lengths = to_numpy(pc.list_value_length(column))
    width = int(lengths[0])
    odd = np.flatnonzero(lengths != width)

    if len(odd):
        file, row = places.of(int(odd[0]))
        raise DataError(
            f"{file}: column '{name}': row {row} holds {lengths[odd[0]]} values, the first "
            f"{width}: expected lists of one length"
        )

    if not width:
        raise DataError(f"{places.title}: column '{name}' holds empty lists, expected numbers")
    if empty := pc.list_flatten(column).null_count:
        raise DataError(f"{places.title}: column '{name}' has {empty} empty values in its lists")

    return {f"{name}[{place}]": pc.list_element(column, place) for place in range(width)}


def _decimal_as(column: Any, name: str, places: Places) -> Any:
    """Return int64 for whole decimals, float64 for those with digits behind the point."""
    import pyarrow as pa

    if column.type.scale > 0:
        return pa.float64()

    try:
        column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{places.title}: column '{name}' holds whole numbers beyond int64: divide them"
        ) from error

    return pa.int64()
