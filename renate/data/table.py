"""Labelled examples as a source has them, before they are split and encoded."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from renate.data.kept.inputs import Column, Field, Inputs, measured
from renate.data.kept.trained import key_of
from renate.data.mapped.rows import bytes_of_row, parts
from renate.data.ragged import Ragged
from renate.errors import DataError
from renate.problems.base import Targets


class File(NamedTuple):
    """A file that a table was read from.

    Attributes:
        name: Its path or URL.
        rows: How many it gave.
        content: SHA-256 of its bytes, or an object's etag and size.
        sha256: Of an object's bytes, where they were read.
    """

    name: str
    rows: int
    content: str
    sha256: str | None = None

    @property
    def keys(self) -> list[str]:
        """What its content is known by, wherever and however it lies, see `key_of`."""
        return [key_of(content) for content in (self.content, self.sha256) if content is not None]


class Table(NamedTuple):
    """Labelled examples as a source has them.

    Attributes:
        inputs: As they will be stored: a tensor [N, ...], or name -> tensor or `Ragged`; where the
            source has an encoder, what that takes.
        targets: As the source has them, see `Targets.values`.
        columns: (name, kind) of each input column, see `inputs.Column`; empty where they have no
            names.
        files: Where the rows come from, in their order; empty where they come from no files.
        target: The target's name, if it has one; of several columns their names, joined by commas.
        target_kind: See `Inputs`.
        notes: What to tell the user.
        where: What the targets are, for messages; empty where that is the config's key.
        target_names: Of the columns of several targets.
        skipped: Files that weren't read, as the state has trained on them: of no rows.
        kept: Of a file of which rows were dropped those that were kept, int64 [rows].
        weights: Of each example in the loss, float32 [N]; None weighs all alike.
        tasks: Which head each example is of, int64 [N], of models that have several; None for all
            others.
        identity: What says on which side of the hold-out an example is, name -> values [N]; None
            where all inputs do.
        times: When each example was, [N], where the newest are held out.
        held_by: What the config says of the hold-out: `key`, `group` or `time`, and the columns;
            empty where it says nothing.
    """

    inputs: Any
    targets: np.ndarray[Any, Any]
    columns: tuple[tuple[str, str], ...] = ()
    files: tuple[File, ...] = ()
    target: str | None = None
    target_kind: str | None = None
    notes: tuple[str, ...] = ()
    where: str = ""
    target_names: tuple[str, ...] = ()
    skipped: tuple[File, ...] = ()
    kept: Mapping[str, np.ndarray[Any, Any]] = MappingProxyType({})
    weights: np.ndarray[Any, Any] | None = None
    tasks: np.ndarray[Any, Any] | None = None
    identity: Mapping[str, Any] | None = None
    times: np.ndarray[Any, Any] | None = None
    held_by: tuple[str, ...] = ()

    def noted(self, said: Sequence[str]) -> "Table":
        """Return it with more to tell the user."""
        return self._replace(notes=(*said, *self.notes))


# What `read` may return for a table: one, or its first two fields.
Readable = Table | tuple[Any, Any]


def order_of(table: Table) -> list[str]:
    """Names of the columns of a vector, by which a hash takes them."""
    names = [name for name, _ in table.columns]
    inputs = table.inputs
    is_vector = isinstance(inputs, Tensor) and inputs.ndim == 2
    return names if is_vector and len(names) == inputs.shape[1] else []


def targets_of(table: Table, key: str) -> Targets:
    """A table's targets; `key` is what they are called where the source has no name for them."""
    return Targets(table.targets, table.where or key, table.target_names)


def described(table: Table) -> Inputs:
    """What a table's inputs are."""
    if isinstance(table.inputs, Mapping):
        return _of_mapping(table)

    return Inputs(
        measured(table.columns, table.inputs),
        str(table.inputs.dtype).removeprefix("torch."),
        tuple(table.inputs.shape[1:]),
        table.target,
        table.target_kind,
    )


def _of_mapping(table: Table) -> Inputs:
    columns = []
    fields = []
    for name, column in table.inputs.items():
        values = column
        if isinstance(column, Ragged):
            values = column.values

        low = high = 0.0
        # Ids have no scale
        if values.is_floating_point() and values.numel():
            low = float(values.min())
            high = float(values.max())

        ragged = isinstance(column, Ragged)
        shape = tuple(values.shape[1:])
        dtype = str(values.dtype).removeprefix("torch.")
        columns.append(Column(name, "tensor", low, high))
        fields.append(Field(name, dtype, shape, float(column.padding) if ragged else None))

    return Inputs(tuple(columns), "", (), table.target, table.target_kind, tuple(fields))


def check(table: Table, key: str) -> None:
    """Check that there are examples, and that their inputs are finite, as far as they are tensors.

    Raises:
        DataError: Naming the first one as the user has it: by file, row and column.
    """
    inputs = table.inputs
    if not len(table.targets):
        raise DataError(f"{key} has no examples")
    if isinstance(inputs, Mapping):
        for name, column in inputs.items():
            if isinstance(column, Tensor | Ragged):
                _check_column(name, column, key)
        return
    if not isinstance(inputs, Tensor):
        return
    found = _not_finite(inputs)
    if found is None:
        return

    row, place = found
    value = float(inputs[row].reshape(-1)[place])
    shown = "infinite, or too large for float32"
    if value != value:
        shown = "NaN"

    raise DataError(f"{_place(table, key, row, place)} is {shown}: clean or fill it first")


def _not_finite(inputs: Tensor) -> tuple[int, int] | None:
    """The first value that isn't finite: its row, and its place there."""
    if not inputs.is_floating_point():
        return None

    for part in parts(len(inputs), bytes_of_row(inputs)):
        flat = inputs[part].reshape(part.stop - part.start, -1)
        finite = torch.isfinite(flat)
        if not bool(finite.all()):
            row, place = (~finite).nonzero()[0].tolist()
            return part.start + row, place

    return None


def _check_column(name: str, column: Tensor | Ragged, key: str) -> None:
    """Check that one tensor of a mapping has finite values.

    Raises:
        DataError: Naming the first item that hasn't.
    """
    if not column.dtype.is_floating_point:
        return

    if isinstance(column, Ragged):
        packed = column.pack()
        odd = ~torch.isfinite(packed.values).reshape(len(packed.values), -1).all(1)
        rows = torch.arange(len(packed)).repeat_interleave(packed.lengths)[odd]
    else:
        rows = (~torch.isfinite(column).reshape(len(column), -1).all(1)).nonzero()[:, 0]

    if len(rows):
        raise DataError(
            f"{key}: item {int(rows[0])} (the first is 0): its input '{name}' holds NaN or "
            "infinity: clean or fill it first"
        )


def place_of(table: Table, row: int) -> tuple[str, int] | None:
    """Return the file in which a row stands and its number there; None without files."""
    for file in table.files:
        if row < file.rows:
            return file.name, int(table.kept[file.name][row]) if file.name in table.kept else row
        row -= file.rows

    return None


def _place(table: Table, key: str, row: int, place: int) -> str:
    """Where a value stands: `week1.csv: row 7 (the first is 0), column 'b'`."""
    where = f"{key}: item {row} (the first is 0)"
    found = place_of(table, row)
    if found is not None:
        where = f"{found[0]}: row {found[1]} (the first is 0)"

    names = order_of(table)
    if names:
        return f"{where}, column '{names[place]}'"

    index = [int(i) for i in np.unravel_index(place, table.inputs.shape[1:] or (1,))]

    return f"{where}: its input at {index}"
