"""A column whose rows are made when they are needed, by processes that read ahead.

For data sets whose items differ in shape, or are another one each time they are read. Everything
random in an item follows from a seed of its own, so that how many processes read changes nothing.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from renate.data.items.tensors import as_tensor
from renate.data.model_inputs import PREFIX, InputMapping
from renate.data.ragged import Ragged, joined
from renate.errors import DataError
from renate.libraries.numpy import generator_state, seed_generator, set_generator_state
from renate.seeds import derive

# name, shape (None where it differs from item to item) and dtype
Field = tuple[str, tuple[int, ...] | None, torch.dtype]
# What the inputs become where items differ in shape: their values, and the shape of each.
VALUES = "item"
SHAPE = "item_shape"
TOGETHER = 256  # rows that are read at a time where all are
COLUMN = "inputs"


@dataclass(frozen=True, eq=False)
class Served:
    """Inputs of a data set, not yet read.

    Attributes:
        items: (input, target) each.
        rows: Which of them, int64 [N].
        item_shape: Of each input; None where they differ, or are mappings.
        dtype: Of the inputs; of mappings see `fields`.
        workers: Processes that read; 0 reads in this one.
        content: Hash of all items, as they are under a fixed seed.
        key: What they are, for messages.
        fields: The tensors of each input, where they are mappings.
    """

    items: Dataset[Any]
    rows: Tensor
    item_shape: tuple[int, ...] | None
    dtype: torch.dtype
    workers: int
    content: str
    key: str
    fields: tuple[Field, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of the column, [N, ...]; None where items differ."""
        if self.item_shape is None:
            return None
        return (len(self), *self.item_shape)

    def index_select(self, dimension: int, index: Tensor) -> "Served":
        """Return some rows, int64 [k], unread."""
        assert dimension == 0, "rows alone can be taken"
        return replace(self, rows=self.rows.index_select(0, index))

    def __getitem__(self, part: slice) -> "Served":
        """Return the rows of a slice, unread."""
        return replace(self, rows=self.rows[part])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let what is random within the block follow from a seed, and leave all generators alone."""
    before = (torch.get_rng_state(), generator_state(), random.getstate())
    # Of the CPU alone: a forked process may not touch a GPU
    torch.default_generator.manual_seed(seed)
    seed_generator(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        set_generator_state(before[1])
        random.setstate(before[2])


@dataclass(frozen=True)
class _Failed:
    """Why an item can't be read: an exception would lose its words between processes."""

    reason: str


class _Inputs(Dataset[Any]):
    """The inputs of a column, each under a seed of its own."""

    def __init__(self, column: Served, seed: int) -> None:
        self.column = column
        self.seed = seed

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> Any:
        column = self.column
        where = f"{column.key}: item {row}"
        try:
            with seeded(derive(self.seed, "item", row)):
                found = column.items[row][0]

            if not column.fields:
                return _checked(found, where, column.item_shape, column.dtype)

            names = [name for name, _, _ in column.fields]
            if not isinstance(found, dict) or sorted(found) != sorted(names):
                return _Failed(f"{where}: expected a mapping of {', '.join(names)}, as before")
            return {
                name: _checked(found[name], f"{where}: '{name}'", shape, dtype)
                for name, shape, dtype in column.fields
            }
        except DataError as error:
            return _Failed(str(error))
        except Exception as error:  # whatever the user's code raises
            reason = (str(error).splitlines() or ["no message"])[0]
            return _Failed(f"{where}: {type(error).__name__}: {reason}")


def _checked(value: Any, where: str, shape: tuple[int, ...] | None, dtype: torch.dtype) -> Tensor:
    """An input as a tensor.

    Raises:
        DataError: It isn't as the inputs were when the data were read first.
    """
    found = as_tensor(value, where)
    if found.dtype == torch.float64:
        found = found.float()

    same = shape is None or tuple(found.shape) == shape
    if not same or found.dtype != dtype:
        expected = "any shape" if shape is None else list(shape)
        raise DataError(
            f"{where} is {found.dtype} {list(found.shape)} this time, expected {dtype} "
            f"of {expected}, as it was when the data were read first"
        )
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise DataError(f"{where}: its input holds NaN or infinity: clean or fill it first")

    return found


def _together(items: list[Any]) -> list[Any] | _Failed:
    """The items of a part; or why one of them can't be read."""
    return next((item for item in items if isinstance(item, _Failed)), items)


def is_served(columns: Mapping[str, Any]) -> bool:
    """Whether the inputs of columns are still to be read."""
    return isinstance(columns.get(COLUMN), Served)


def read_ahead(
    columns: Mapping[str, Any], parts: Sequence[Tensor], seed: int, *, workers: int | None = None
) -> Iterator[dict[str, Any]]:
    """Read rows of columns whose inputs are served, part by part.

    Args:
        columns: `inputs` is a `Served`.
        parts: Rows of each, int64 [k].
        seed: Of what is random in items.
        workers: Processes that read; None takes the column's.

    Yields:
        The columns of each part. Inputs that differ in shape are `inputs.item`, their values one
        after the other, and `inputs.item_shape`, int64 [k, D].

    Raises:
        DataError: An item can't be read, or isn't what it was before.
    """
    column: Served = columns[COLUMN]
    count = min(column.workers if workers is None else workers, len(parts))
    loader: Any = DataLoader(
        _Inputs(column, seed),
        batch_sampler=[column.rows[part].tolist() for part in parts],
        num_workers=count,
        collate_fn=_together,
        generator=torch.Generator(),  # else starting to read would be a draw from everybody's
    )
    others = {name: each for name, each in columns.items() if name != COLUMN}
    for part, found in zip(parts, loader, strict=True):
        if isinstance(found, _Failed):
            raise DataError(found.reason)

        inputs = _stored(found, column)
        yield inputs | {name: each.index_select(0, part) for name, each in others.items()}


def _stored(items: list[Any], column: Served) -> dict[str, Any]:
    if column.fields:
        stored: dict[str, Any] = {}
        for name, shape, dtype in column.fields:
            values = [item[name] for item in items]
            if shape is None:
                stored[f"{PREFIX}{name}"] = Ragged.of(values, dtype)
            else:
                stored[f"{PREFIX}{name}"] = torch.stack(values)
        return stored

    if column.item_shape is not None:
        return {COLUMN: torch.stack(items)}

    return {
        f"{PREFIX}{VALUES}": Ragged.of([each.reshape(-1) for each in items], items[0].dtype),
        f"{PREFIX}{SHAPE}": torch.tensor([list(each.shape) for each in items]),
    }


def read_all(columns: Mapping[str, Any], *, workers: int | None = None) -> dict[str, Any]:
    """Return columns with all of their rows read, once; others as they are.

    Raises:
        DataError: See `read_ahead`.
    """
    if not is_served(columns):
        return dict(columns)

    rows = torch.arange(len(columns[COLUMN]))
    parts = [*read_ahead(columns, torch.split(rows, TOGETHER), 0, workers=workers)]
    read: dict[str, Any] = {}
    for name in parts[0]:
        pieces = [part[name] for part in parts]
        read[name] = joined(pieces) if isinstance(pieces[0], Ragged) else torch.cat(pieces)
    return read


def in_order(columns: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """Yield rows of columns in their order, `size` at a time; what is random in them is the same
    each time.
    """
    rows = len(columns["targets"])
    if is_served(columns):
        yield from read_ahead(columns, torch.split(torch.arange(rows), size), 0)
        return

    for begin in range(0, rows, size):
        yield {name: column[begin : begin + size] for name, column in columns.items()}


def first_of(columns: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return copies of the first rows of columns: whoever keeps them doesn't keep all the rest."""
    rows = torch.arange(min(count, len(columns["targets"])))
    few = {name: column.index_select(0, rows) for name, column in columns.items()}
    return read_all(few, workers=0)


def items_in(inputs: Any) -> list[Tensor] | None:
    """Return the items of a batch whose shapes differ, each in its own shape; None where they
    don't.
    """
    if not isinstance(inputs, InputMapping) or set(inputs) - {f"{VALUES}_lengths"} != {
        VALUES,
        SHAPE,
    }:
        return None

    shapes = [[int(size) for size in shape] for shape in inputs[SHAPE].tolist()]
    return [
        row[: int(np.prod(shape, dtype=np.int64))].reshape(shape)
        for row, shape in zip(inputs[VALUES], shapes, strict=True)
    ]
