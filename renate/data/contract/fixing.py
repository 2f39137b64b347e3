"""Values that a contract doesn't have, brought to what it has."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.contract.checking import Violation, bounds_of
from renate.data.contract.document import ColumnContract
from renate.data.contract.views import View
from renate.data.kept.raw import take
from renate.data.mapped.rows import bytes_of_row, folder_of, mapped_empty, parts
from renate.data.ragged import Ragged
from renate.data.table import Table

HOW = {
    "ranges": "brought to the nearest bound",
    "categories": "taken as missing",
    "lengths": "those that are too long are cut",
}


def fixed(inputs: Any, name: str, view: View, wanted: ColumnContract, found: Violation) -> Any:
    """Return raw inputs in which the values of one column are as its contract has them.

    Args:
        inputs: See `renate.data.contract.views.views_of`; they stay as they are.
        name: The column's.
        view: The column.
        wanted: Its contract.
        found: What is wrong: a check of `HOW`.
    """
    if view.place is not None:
        changed = _copied(inputs)
        bounds = bounds_of(wanted.range, view.type)
        changed[:, view.place] = changed[:, view.place].clamp(*bounds)
        return changed

    values = _fixed_values(view, wanted, found)
    if isinstance(inputs, Mapping):
        return {**inputs, name: values}
    return values


def _fixed_values(view: View, wanted: ColumnContract, found: Violation) -> Any:
    values = view.values
    if found.check == "categories":
        changed = values.copy()
        changed[found.rows] = None
        return changed

    if found.check == "lengths":
        assert wanted.length is not None
        most = wanted.length[1]
        if most is None:
            return values
        if isinstance(values, Ragged):
            lengths = values.lengths.clamp(max=int(most))
            return Ragged(values.values, values.starts, lengths, values.padding)
        cut = [value if value is None else value[: int(most)] for value in values]
        return np.array(cut, object) if isinstance(values, np.ndarray) else cut

    low, high = bounds_of(wanted.range, view.type)
    if isinstance(values, Tensor):
        return _clamped(values, low, high)
    return np.clip(values, low, high).astype(values.dtype)


def _clamped(values: Tensor, low: float | None, high: float | None) -> Tensor:
    changed = _copied(values)
    for part in parts(len(changed), bytes_of_row(changed)):
        changed[part] = changed[part].clamp(low, high)
    return changed


def _copied(values: Tensor) -> Tensor:
    """A copy, in a mapped file where the values lie in one."""
    folder = folder_of(values)
    if folder is None:
        return values.clone()

    found = mapped_empty(folder, len(values), tuple(values.shape[1:]), values.dtype)
    for part in parts(len(values), bytes_of_row(values)):
        found[part] = values[part]
    return found


def without_rows(table: Table, gone: np.ndarray[Any, Any]) -> Table:
    """Return a table without some of its rows.

    Args:
        table: As a source read it.
        gone: Whether each row is left out, bool [N].
    """
    rows = torch.from_numpy(np.flatnonzero(~gone))
    files = []
    kept = dict(table.kept)
    begin = 0
    for file in table.files:
        own = np.flatnonzero(~gone[begin : begin + file.rows])
        before = kept.get(file.name, np.arange(file.rows))
        kept[file.name] = before[own]
        files.append(file._replace(rows=len(own)))
        begin += file.rows

    chosen = rows.numpy()
    marks: dict[str, Any] = {}
    for name in ("weights", "tasks", "times"):
        values = getattr(table, name)
        if values is not None:
            marks[name] = values[chosen]
    if table.identity is not None:
        marks["identity"] = take(table.identity, rows)

    return table._replace(
        inputs=take(table.inputs, rows),
        targets=table.targets[chosen],
        files=tuple(files),
        kept=kept if table.files else table.kept,
        **marks,
    )
