"""Whose head counts, beside the inputs of a version whose model has a head for each task."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.kept.raw import rows_in
from renate.data.model_inputs import TASK
from renate.data.raw.chunks import RawChunk
from renate.errors import ConfigError, DataError, nearest
from renate.jobs.predicting.feed import Columns


def beside_ids(columns: Columns, task_id: Any, heads: int) -> dict[str, Any]:
    """Return columns with the number of each example's head: a lone tensor as `inputs`.

    Args:
        columns: As `Feed.encoded` gives them.
        task_id: See `ids_for`, as `heads`.
        heads: How many there are.

    Raises:
        ConfigError: See `ids_for`.
    """
    ids = ids_for(task_id, rows_in(columns, "inputs"), heads)
    inputs: dict[str, Any] = {"inputs": columns} if isinstance(columns, Tensor) else dict(columns)
    return inputs | {TASK: ids}


def ids_for(task_id: Any, rows: int, heads: int) -> Tensor:
    """Return the number of each example's head, int64 [rows].

    Args:
        task_id: A number for all, or one for each example.
        rows: How many examples there are.
        heads: How many heads.

    Raises:
        ConfigError: It is None, no whole number, not as many, or that of no head.
    """
    there = f"one of 0 to {heads - 1} for all examples, or a list with one for each"
    if task_id is None:
        raise ConfigError(f"task_id: the model has a head for each task: give {there}")

    try:
        found = torch.as_tensor(np.asarray(task_id))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"task_id={task_id!r}: expected {there}") from error

    whole = not found.is_floating_point() and not found.is_complex() and found.dtype != torch.bool
    if not whole or found.ndim > 1 or (found.ndim and len(found) != rows):
        raise ConfigError(f"task_id={task_id!r} for {rows} examples: expected {there}")

    ids = found.long().expand(rows)
    odd = ids[(ids < 0) | (ids >= heads)]
    if len(odd):
        raise ConfigError(f"task_id={int(odd[0])}: expected {there}")

    return ids


def check_named(data: Mapping[str, Any], heads: int) -> None:
    """Return if `data.task_id` names a column where the version has several heads, of the group
    `data` of the config.

    Raises:
        ConfigError: It doesn't.
    """
    if heads and data.get(TASK) is None:
        raise ConfigError(
            "data.task_id=null: the version's model has a head for each task: name the column that "
            "says which is a row's"
        )


def task_ids(name: str, chunk: RawChunk) -> Any:
    """Return whose head counts for the rows of a file, int64 [n], by the column of that name.

    Raises:
        DataError: There is no such column, or it has no whole numbers.
    """
    names = chunk.table.column_names
    if name not in names:
        raise DataError(
            f"{chunk.file}: no column '{name}', which data.task_id names{nearest(name, names)}"
        )

    column = chunk.table.column(name)
    values = column.to_pylist()
    odd = [row for row, value in enumerate(values) if not is_whole(value)]
    if odd:
        raise DataError(
            f"{chunk.file}: row {chunk.first + odd[0]} (the first is 0), column '{name}' holds "
            f"{values[odd[0]]!r}: data.task_id takes whole numbers of 0 or more"
        )

    return np.array(values, np.int64)


def is_whole(value: Any) -> bool:
    """Whether a cell is a whole number of 0 or more."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and value >= 0 and value == value // 1


def without_ids(columns: Any) -> tuple[Any, Tensor]:
    """Return the columns and the numbers that `beside_ids` put together."""
    inputs = {name: column for name, column in columns.items() if name != TASK}
    if [*inputs] == ["inputs"]:
        return inputs["inputs"], columns[TASK]
    return inputs, columns[TASK]
