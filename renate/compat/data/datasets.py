"""Data sets of Renate's that config files use."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset


class ImageDataset(Dataset[Any]):
    """Image files and their labels, int64 tensors, opened item by item.

    Args:
        data: Paths.
        labels: One for each.
        transform: Of an image.
        target_transform: Of a label.
    """

    def __init__(
        self,
        data: Sequence[str],
        labels: Sequence[int],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if len(data) != len(labels):
            raise ValueError(f"{len(data)} images, {len(labels)} labels: expected as many of each")
        for row, label in enumerate(labels):
            if int(label) != label:
                raise ValueError(f"label {row} is {label}: expected the number of a class")

        self.data = list(data)
        self.labels = list(labels)
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        with Image.open(self.data[index]) as file:
            image: Any = file.convert("RGB")
        label: Any = torch.tensor(self.labels[index], dtype=torch.int64)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)

        return image, label


class NestedTensorDataset(Dataset[Any]):
    """Tensors, in tuples and mappings, that all have as many rows.

    Args:
        nested_tensors: One such thing.
    """

    def __init__(self, nested_tensors: Any) -> None:
        self._nested_tensors = nested_tensors
        lengths = set(_rows(nested_tensors))
        if len(lengths) != 1:
            raise ValueError(f"tensors of {sorted(lengths)} rows: expected as many in each")
        self._length = lengths.pop()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return _at(self._nested_tensors, index)


def _rows(nested: Any) -> list[int]:
    if isinstance(nested, Tensor) and nested.ndim:
        return [len(nested)]
    if not isinstance(nested, dict | list | tuple):
        raise ValueError(f"{nested!r}: expected tensors of rows, in tuples or mappings")

    parts: Any = nested
    if isinstance(nested, dict):
        parts = nested.values()

    return [rows for part in parts for rows in _rows(part)]


def _at(nested: Any, index: int) -> Any:
    if isinstance(nested, Tensor):
        return nested[index]
    if isinstance(nested, dict):
        return {key: _at(part, index) for key, part in nested.items()}
    return tuple(_at(part, index) for part in nested)
