"""Any `torch.utils.data.Dataset` of the user's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from renate.data.base import Source, Table, hold_out
from renate.errors import DataError


@dataclass(kw_only=True)
class TorchDataset(Source):
    """Data sets of (input, target) items; read once into columns, so the items must all be of one shape.

    Args:
        train: The data set to train on.
        test: To measure on, or name -> such; null splits `test_size` off `train`.
        test_size: The fraction that is split off where `test` is null, the same for every seed.
    """

    train: Dataset[Any]
    test: Dataset[Any] | Mapping[str, Dataset[Any]] | None
    test_size: float

    def read(self) -> tuple[Table, dict[str, Table]]:
        whole = table(self.train, "data.train")
        if self.test is None:
            return hold_out(whole, self.test_size)
        named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        return whole, {name: table(items, "data.test") for name, items in named.items()}


def table(items: Dataset[Any], key: str) -> Table:
    """Read every item.

    Raises:
        DataError: Items that aren't (input, target), or of several shapes.
    """
    inputs: list[Tensor] = []
    labels: list[Any] = []
    for row in range(len(items)):  # type: ignore[arg-type]
        item = items[row]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"{key}: item {row} is {type(item).__name__}, expected (input, target)")
        tensor = as_tensor(item[0])
        if inputs and (tensor.shape, tensor.dtype) != (inputs[0].shape, inputs[0].dtype):
            raise DataError(
                f"{key}: item {row} is {tensor.dtype} {list(tensor.shape)}, "
                f"item 0 is {inputs[0].dtype} {list(inputs[0].shape)}: all must be alike"
            )
        inputs.append(tensor)
        labels.append(item[1].item() if isinstance(item[1], Tensor | np.generic) else item[1])
    if not inputs:
        raise DataError(f"{key} has no examples")
    if not all(isinstance(label, int | str) for label in labels):
        odd = next(label for label in labels if not isinstance(label, int | str))
        raise DataError(f"{key}: target {odd!r} is {type(odd).__name__}, a label is an integer or text")
    return torch.stack(inputs), np.array(labels)


def as_tensor(value: Any) -> Tensor:
    """A tensor as it is; an array, a list or a PIL image as a tensor, images as [C, H, W]."""
    if isinstance(value, Tensor):
        return value
    array = np.array(value)  # a copy: torch wants arrays that it may write to
    if hasattr(value, "getbands"):  # a PIL image
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array))
