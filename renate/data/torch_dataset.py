"""Any `torch.utils.data.Dataset` of the user's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from renate.data.base import Label, Readable, Source, Table, check_test_size
from renate.errors import DataError


@dataclass(kw_only=True)
class TorchDataset(Source):
    """Data sets of (input, target) items; read once into columns, so the items must all be of one shape.

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
        whole = table(self.train, "data.train")
        if self.test is None:
            return whole, self.test_size
        named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        return whole, {name: table(items, "data.test") for name, items in named.items()}


def table(items: Dataset[Any], key: str) -> Table:
    """Read every item.

    Raises:
        DataError: Items that aren't (input, target), or of several shapes, or targets that are no labels.
    """
    if not hasattr(items, "__len__"):
        raise DataError(f"{key}: {type(items).__name__} has no length, expected a data set with len() and items[row]")
    inputs: list[Tensor] = []
    labels: list[Label] = []
    for row in range(len(items)):
        item = items[row]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"{key}: item {row} is {type(item).__name__}, expected (input, target)")
        tensor = as_tensor(item[0], f"{key}: item {row}")
        if inputs and (tensor.shape, tensor.dtype) != (inputs[0].shape, inputs[0].dtype):
            raise DataError(
                f"{key}: item {row} is {tensor.dtype} {list(tensor.shape)}, "
                f"item 0 is {inputs[0].dtype} {list(inputs[0].shape)}: all must be alike"
            )
        inputs.append(tensor)
        labels.append(as_label(item[1], f"{key}: item {row}"))
    if not inputs:
        raise DataError(f"{key} has no examples")
    if len({isinstance(label, str) for label in labels}) > 1:
        raise DataError(f"{key}: some targets are text, some integers: use one kind")
    return Table(torch.stack(inputs), np.array(labels))


def as_tensor(value: Any, where: str) -> Tensor:
    """A tensor as it is; an array, numbers or a PIL image as a tensor: images as [C, H, W], float64 as float32."""
    if isinstance(value, Tensor):
        return value
    try:
        array = np.array(value)  # a copy: torch wants arrays that it may write to
        if hasattr(value, "getbands"):  # a PIL image
            array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        tensor = torch.from_numpy(np.ascontiguousarray(array))
    except (TypeError, ValueError) as error:
        name = type(value).__name__
        raise DataError(f"{where}: its input is {name}, expected a tensor, an array, numbers or an image") from error
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def as_label(value: Any, where: str) -> Label:
    """An integer or text, also out of a tensor or an array of one element."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        if np.prod(value.shape) != 1:
            raise DataError(f"{where}: its target has shape {list(value.shape)}, expected one label")
        value = value.item()
    if not isinstance(value, int | str):
        raise DataError(f"{where}: target {value!r} is {type(value).__name__}, a label is an integer or text")
    return value if isinstance(value, str) else int(value)
