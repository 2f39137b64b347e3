"""Any `torch.utils.data.Dataset` of the user's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from renate.data.base import Source
from renate.data.images.decode import as_seen
from renate.data.kept.reading import check_test_size
from renate.data.table import Readable, Table
from renate.data.tables.exact import float32
from renate.data.tables.targets import as_column, as_target
from renate.errors import DataError


@dataclass(kw_only=True)
class TorchDataset(Source):
    """Data sets of (input, target) items; read once into columns, so the items must all be of one
    shape.

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
        whole = table(self.train, "data.train")
        if self.test is None:
            return whole, self.test_size
        named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        return whole, {name: table(items, "data.test") for name, items in named.items()}


def table(items: Dataset[Any], key: str) -> Table:
    """Read every item.

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

    inputs: list[Tensor] = []
    targets: list[Any] = []
    for row in range(rows):
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
        targets.append(as_target(item[1], f"{key}: item {row}"))

    if not inputs:
        raise DataError(f"{key} has no examples")

    return Table(as_stored(torch.stack(inputs), key), as_column(targets, key))


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


def as_tensor(value: Any, where: str) -> Tensor:
    """A tensor as it is; an array, numbers or a PIL image as a tensor: images as uint8 [C, H, W].

    Half precision becomes float32, unsigned integers of more than 8 bits the next larger signed
    ones.

    Raises:
        DataError: What isn't any of these, or isn't dense and real.
    """
    if not isinstance(value, Tensor):
        value = _of_array(value, where)

    tensor: Tensor = value.detach()
    if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized:
        raise DataError(
            f"{where}: its input is {tensor.dtype}, {tensor.layout}, expected dense real numbers"
        )

    if tensor.dtype in (torch.float16, torch.bfloat16):
        return tensor.cpu().float()
    if tensor.dtype in (torch.uint16, torch.uint32, torch.uint64):
        return _of_array(tensor.cpu().numpy(), where)

    return tensor.cpu()


def _of_array(value: Any, where: str) -> Tensor:
    try:
        if hasattr(value, "getbands"):  # a PIL image
            seen = np.array(as_seen(value, f"{where}: its input"))
            array = seen[None] if seen.ndim == 2 else seen.transpose(2, 0, 1)
        else:
            array = np.array(value)  # a copy: torch wants arrays that it may write to

        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            if array.size and int(array.max()) > np.iinfo(np.int64).max:
                raise DataError(
                    f"{where}: its input holds {int(array.max())}, beyond int64: divide it"
                )
            array = array.astype(np.int32 if array.dtype.itemsize == 2 else np.int64)

        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))
    except (TypeError, ValueError) as error:
        name = type(value).__name__
        raise DataError(
            f"{where}: its input is {name}, expected a tensor, an array, numbers or an image"
        ) from error
