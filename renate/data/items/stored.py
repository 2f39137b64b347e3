"""Columns of examples as the tensors of one safetensors file."""

from collections.abc import Mapping

import torch
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.data.mapped.rows import joined_rows
from renate.data.model_inputs import PREFIX, TASK
from renate.data.ragged import Ragged, joined, lengths_of, offsets_of
from renate.errors import StateError

# Behind the name of a column whose rows have lengths of their own
VALUES = "#values"
OFFSETS = "#offsets"
PADDING = "#padding"


def of_examples(columns: Columns) -> Columns:
    """Return inputs, targets, and which head each example is of, where columns say so: weights, and
    what a scenario cuts by, are of a training.
    """
    return {
        name: column
        for name, column in columns.items()
        if name in ("inputs", "targets", TASK) or name.startswith(PREFIX)
    }


def drawn(columns: Columns, count: int, seed: int) -> Columns:
    """Return `count` rows, or all there are, in their order; drawn by the seed."""
    rows = length(columns)
    if rows <= count:
        return columns

    generator = torch.Generator().manual_seed(seed)
    places = torch.randperm(rows, generator=generator)[:count].sort().values
    return select(columns, places)


def extended(columns: Columns, more: Columns) -> Columns:
    """Return the rows of both, which have the same columns; mapped where one's are."""
    found: Columns = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            found[name] = joined([column, more[name]])
        else:
            found[name] = joined_rows([column, more[name]])

    return found


def to_tensors(columns: Columns) -> dict[str, Tensor]:
    """Return the tensors of a file."""
    found: dict[str, Tensor] = {}
    for name, column in columns.items():
        if not isinstance(column, Ragged):
            found[name] = column.contiguous().clone()
            continue
        packed = column.pack()
        found[name + VALUES] = packed.values
        found[name + OFFSETS] = offsets_of(packed.lengths)
        found[name + PADDING] = torch.tensor([float(packed.padding)], dtype=torch.float64)

    return found


def from_tensors(tensors: Mapping[str, Tensor], like: Columns, where: str) -> Columns:
    """Return columns as `to_tensors` took them.

    Args:
        tensors: Of a file, which may come from a stranger.
        like: Columns of the data at hand, which they must be like.
        where: For messages.

    Raises:
        StateError: They aren't.
    """
    found: Columns = {}
    for name, column in like.items():
        try:
            if isinstance(column, Ragged):
                found[name] = _ragged(tensors, name)
            else:
                found[name] = tensors[name]
            _check_like(found[name], column)
        except (KeyError, ValueError) as error:
            raise StateError(
                f"{where}: column '{name}' isn't like that of the data at hand ({error})"
            ) from error

    rows = {len(column) for column in found.values()}
    if len(rows) != 1:
        raise StateError(f"{where}: its columns have {sorted(rows)} rows")

    return found


def _ragged(tensors: Mapping[str, Tensor], name: str) -> Ragged:
    values = tensors[name + VALUES]
    padding = tensors[name + PADDING]
    offsets = tensors[name + OFFSETS]
    if padding.shape != (1,) or offsets.dtype != torch.int64 or offsets.ndim != 1:
        raise ValueError("its padding or its offsets have another shape")

    number = padding.item()
    lengths = lengths_of(offsets, len(values))
    return Ragged.packed(values, lengths, number if values.is_floating_point() else int(number))


def _check_like(found: Tensor | Ragged, column: Tensor | Ragged) -> None:
    values = found.values if isinstance(found, Ragged) else found
    others = column.values if isinstance(column, Ragged) else column
    if values.dtype != others.dtype or values.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"{values.dtype} {list(values.shape[1:])} instead of {others.dtype} "
            f"{list(others.shape[1:])}"
        )
    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        raise ValueError("it holds NaN or infinity")
