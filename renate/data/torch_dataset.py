"""Any `torch.utils.data.Dataset` of the user's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from renate.data.base import Source
from renate.data.items.tensors import UnlikeError, as_tensor
from renate.data.kept.reading import check_test_size, named_tests
from renate.data.ragged import Ragged
from renate.data.table import Readable, Table
from renate.data.tables.exact import float32
from renate.data.tables.targets import as_column, as_target
from renate.errors import DataError


@dataclass(kw_only=True)
class TorchDataset(Source):
    """Data sets of (input, target) items; read once into columns, so the items must all be of one
    shape.

    An input may be a mapping from names to tensors. Of these, those whose first dimension differs
    from item to item are of different lengths, padded with 0 in a batch.

    Args:
        train: The data set to train on.
        test: To measure on, or name -> such; null holds `test_size` of `train` out.
        test_size: The fraction that is held out where `test` is null, the same for every seed.
    """

    train: Dataset[Any]
    test: Dataset[Any] | Mapping[str, Dataset[Any]] | None
    test_size: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_test_size(self.test, self.test_size)

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read every item of `train` and `test` into tables.

        Raises:
            DataError: Items that `table` refuses.
        """
        fields = self.known.fields if self.known is not None else ()
        ragged = {field.name for field in fields if field.padding is not None}
        whole = table(self.train, "data.train", ragged)
        if self.test is None:
            return whole, self.test_size

        if isinstance(whole.inputs, Mapping):
            ragged |= {name for name, column in whole.inputs.items() if isinstance(column, Ragged)}

        tests = named_tests(self.test)
        return whole, {name: table(items, "data.test", ragged) for name, items in tests.items()}


def table(items: Dataset[Any], key: str, ragged: Collection[str] = ()) -> Table:
    """Read every item.

    Args:
        items: (input, target) each.
        key: What they are, for messages.
        ragged: Of inputs that are mappings, the names of those known to be of different lengths.

    Raises:
        DataError: Items that aren't (input, target), or of several shapes, or targets of several
            kinds.
    """
    try:
        rows = len(items)  # type: ignore[arg-type]
    except TypeError as error:
        # Of one given from Python, what it holds
        name = type(getattr(items, "items", items)).__name__
        raise DataError(
            f"{key}: {name} has no length, expected a data set with len() and items[row]"
        ) from error

    inputs: list[Any] = []
    targets: list[Any] = []
    for row in range(rows):
        item = items[row]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"{key}: item {row} is {type(item).__name__}, expected (input, target)")

        given = item[0] if isinstance(item[0], Mapping) else {"": item[0]}
        tensors = {
            name: as_tensor(value, f"{key}: item {row}{_named(name)}")
            for name, value in given.items()
        }
        _check_alike(tensors, inputs[0] if inputs else tensors, row, key)
        inputs.append(tensors)
        targets.append(as_target(item[1], f"{key}: item {row}"))

    if not inputs:
        raise DataError(f"{key} has no examples")

    columns = {
        name: _column([row[name] for row in inputs], f"{key}{_named(name)}", name in ragged)
        for name in inputs[0]
    }
    alone = columns.get("")

    return Table(columns if alone is None else alone, as_column(targets, key))


def _named(name: str) -> str:
    return f": input '{name}'" if name else ""


def _check_alike(found: dict[str, Tensor], first: dict[str, Tensor], row: int, key: str) -> None:
    """Check one item's tensors against those of the first: a mapping's may differ in length.

    Raises:
        DataError: They are others.
    """
    if found.keys() != first.keys():
        name = min(found.keys() ^ first.keys())
        raise DataError(
            f"{key}: item {row} has other inputs than item 0{_named(name)}: all must be alike"
        )

    for name, tensor in found.items():
        other = first[name]
        skipped = 0
        if name and tensor.ndim:
            skipped = 1
        fits = tensor.ndim == other.ndim and tensor.shape[skipped:] == other.shape[skipped:]
        if not fits or tensor.dtype != other.dtype:
            raise UnlikeError(
                f"{key}: item {row}{_named(name)} is {tensor.dtype} {list(tensor.shape)}, item 0 "
                f"is {other.dtype} {list(other.shape)}: all must be alike"
            )


def _column(rows: list[Tensor], key: str, ragged: bool) -> Tensor | Ragged:
    """The column of one input's tensors: ragged where their lengths differ, or are known to."""
    if not ragged and len({row.shape for row in rows}) == 1:
        return as_stored(torch.stack(rows), key)
    if not rows[0].ndim:
        raise DataError(f"{key} is one number, in the state it is of different lengths")

    column = Ragged.of(rows, dtype=rows[0].dtype)
    values = as_stored(column.values, key)
    return Ragged(values, column.starts, column.lengths, column.padding)


def as_stored(inputs: Tensor, key: str) -> Tensor:
    """Return float64 [N, ...] as float32, other kinds as they are.

    Raises:
        DataError: Values that float32 makes equal.
    """
    if inputs.dtype != torch.float64:
        return inputs

    columns = inputs.numpy().reshape(len(inputs), -1)
    if inputs.ndim == 2:
        parts = [float32(columns[:, i], f"{key}: input {i}") for i in range(columns.shape[1])]
        return torch.from_numpy(np.stack(parts, axis=1)) if parts else inputs.float()

    return torch.from_numpy(float32(columns.ravel(), f"{key}: an input")).reshape(inputs.shape)
