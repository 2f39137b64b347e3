"""Targets of tables and data sets as one array, see `renate.problems.base.Targets`."""

import math
from typing import Any

import numpy as np
from torch import Tensor

from renate.data.tables.columns import is_text, to_numpy
from renate.data.tables.exact import INT64
from renate.errors import DataError
from renate.problems.base import Label


def of_arrow(column: Any, where: str) -> np.ndarray[Any, Any]:
    """Return a column without nulls: numbers or booleans [N], texts or lists [N] of dtype object,
    vectors [N, K].

    Args:
        column: ChunkedArray [N].
        where: What it is, for messages.

    Raises:
        DataError: A column of another kind, or lists of floats that aren't all as long or lack a
            value.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_decimal(kind):
        return to_numpy(column.cast(pa.float64()))
    if (
        is_text(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
    ):
        return to_numpy(column)

    if not (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        raise DataError(
            f"{where} is {kind}, a target is a number, a boolean, text or a list of labels"
        )

    lists = column.to_pylist()
    if pa.types.is_floating(kind.value_type):
        _check_vectors(lists, where)

    return of_lists(lists)


def _check_vectors(rows: list[list[float | None]], where: str) -> None:
    for row, values in enumerate(rows):
        if len(values) != len(rows[0]) or not values:
            raise DataError(
                f"{where}: row {row} (the first is 0) holds {len(values)} numbers, row 0 "
                f"{len(rows[0])}: expected lists of one length"
            )

        if None in values:
            raise DataError(f"{where}: row {row} (the first is 0) lacks a value: drop that row")


def as_target(value: Any, where: str) -> Any:
    """A number, text or a list of them, also out of a tensor or an array; true is 1.

    Raises:
        DataError: Anything else; a number beyond int64, empty text.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        if value.ndim > 1:
            raise DataError(
                f"{where}: its target has shape {list(value.shape)}, expected one label or number, "
                "or a list of them"
            )

        value = value.tolist()
        if isinstance(value, list) and len(value) == 1:
            value = value[0]

    if isinstance(value, list | tuple):
        return [_one_target(each, where) for each in value]

    return _one_target(value, where)


def _one_target(value: Any, where: str) -> Label | float:
    if value == "" and isinstance(value, str):
        raise DataError(f"{where}: its target is empty text: drop the item, or name the class")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if not isinstance(value, int):
        raise DataError(
            f"{where}: target {value!r} is {type(value).__name__}, expected a number, text, or a "
            "list of them"
        )

    if not INT64.min <= value <= INT64.max:
        raise DataError(f"{where}: target {value} is beyond int64: give such labels as text")

    return int(value)


def as_column(targets: list[Any], key: str) -> np.ndarray[Any, Any]:
    """Return targets as `Targets.values` has them: numbers [N], texts or lists of labels [N] of
    dtype object, or vectors [N, K] of floats, or of 0 and 1 alone.

    Raises:
        DataError: They are of several kinds.
    """
    first = targets[0]
    for row, target in enumerate(targets):
        if isinstance(target, list) != isinstance(first, list):
            raise DataError(
                f"{key}: item {row}'s target is {target!r}, that of item 0 {first!r}: use one kind"
            )

    if not isinstance(first, list):
        if len({isinstance(target, str) for target in targets}) > 1:
            raise DataError(f"{key}: some targets are text, some integers: use one kind")
        # text as objects: numpy's own drops a NUL at an end
        return np.array(targets, dtype=object if isinstance(first, str) else None)

    return of_lists(targets)


def of_lists(targets: list[list[Any]]) -> np.ndarray[Any, Any]:
    """Return vectors [N, K] where the lists are a number or a flag for each output, else the
    lists, [N] objects.
    """
    if _are_vectors(targets):
        return np.array(targets)

    lists = np.empty(len(targets), object)
    for row, target in enumerate(targets):
        lists[row] = target

    return lists


def _are_vectors(targets: list[list[Any]]) -> bool:
    """Whether lists of one length hold numbers of which some are no whole ones, or flags alone,
    and not labels.
    """
    width = len(targets[0])
    values = [value for target in targets for value in target]
    if any(len(target) != width for target in targets):
        return False
    if any(value is None or isinstance(value, str) for value in values):
        return False
    if any(isinstance(value, float) for value in values):
        return True

    return width > 1 and set(values) <= {0, 1}
