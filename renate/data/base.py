"""What a data source is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.errors import ConfigError, DataError
from renate.seeds import derive

Label = int | str
# Inputs [N, ...] as they will be stored, and the labels [N] as the source has them.
Table = tuple[Tensor, np.ndarray[Any, Any]]


@dataclass
class Data:
    """A source, read and split.

    Attributes:
        train: Columns to train on.
        val: Columns to choose the best epoch by; None where val_size is 0.
        test: name -> columns to measure on.
        labels: The label of each class index.
        new_labels: Those of them that were not known before.
    """

    train: Columns
    val: Columns | None
    test: dict[str, Columns]
    labels: list[Label]
    new_labels: list[Label] = field(default_factory=list)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one raw input."""
        return tuple(self.train["inputs"].shape[1:])


@dataclass(kw_only=True)
class Source(ABC):
    """Reads labelled examples. A subclass implements `read`; splitting, labels and checks are shared.

    Args:
        batch_size: Examples of a training batch.
        val_size: Validation examples, split off the training data: a fraction below 1, or a number.
        limit: Use only so many training examples, drawn by the seed; null uses all.
    """

    batch_size: int
    val_size: float
    limit: int | None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"data.batch_size={self.batch_size}: expected 1 or more")
        if self.val_size < 0 or (self.val_size >= 1 and self.val_size != int(self.val_size)):
            raise ConfigError(f"data.val_size={self.val_size}: expected a fraction below 1, or a number of examples")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"data.limit={self.limit}: expected 1 or more, or null")

    @abstractmethod
    def read(self) -> tuple[Table, dict[str, Table]]:
        """Return the training table and name -> test table."""

    def load(self, labels: list[Label] | None = None, *, seed: int) -> Data:
        """Read, check, number the labels, and split.

        Args:
            labels: Known labels in the order of their indices; None at a first update, which takes the sorted labels
                of the training data.
            seed: Of the split and of `limit`.

        Raises:
            DataError: No examples, values that aren't finite, labels that only the test data has, test inputs of
                another kind, or nothing left to train on.
        """
        (inputs, raw), tests = self.read()
        check(inputs, raw, "data.train")
        found = sorted(set(raw.tolist()))
        known = list(labels or [])
        if labels is None and len(found) < 2:
            raise DataError(f"data.train has one class only, {found[0]!r}: a first update needs two or more")
        if known and not same_kind(known, found):
            raise DataError(f"data.train: its labels are like {found[0]!r}, the state's like {known[0]!r}")
        new = [label for label in found if label not in set(known)]
        known += new
        train = {"inputs": inputs, "targets": encode(raw, known, "data.train")}
        if not tests:
            raise DataError("data.test names nothing to measure on: give a test set, or null")
        test = {}
        for name, (test_inputs, test_raw) in tests.items():
            check(test_inputs, test_raw, "data.test")
            if kind(test_inputs) != kind(inputs):
                raise DataError(f"data.test: inputs are {kind(test_inputs)}, those of data.train {kind(inputs)}")
            test[name] = {"inputs": test_inputs, "targets": encode(test_raw, known, "data.test")}
        train, val = self._split(train, seed)
        return Data(train, val, test, known, new)

    def _split(self, columns: Columns, seed: int) -> tuple[Columns, Columns | None]:
        rows = length(columns)
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(derive(seed, "split")))
        order = order[: self.limit] if self.limit is not None else order
        held = round(len(order) * self.val_size) if self.val_size < 1 else int(self.val_size)
        if held >= len(order):
            raise DataError(f"data.val_size={self.val_size} leaves none of {len(order)} examples to train on")
        if self.val_size and not held:
            raise DataError(
                f"data.val_size={self.val_size} of {len(order)} examples is none: give a number of examples"
            )
        if not held and self.limit is None:
            return columns, None
        train = select(columns, order[held:].sort().values)
        return train, select(columns, order[:held].sort().values) if held else None


def check_test_size(test: object, fraction: float) -> None:
    """Check the fraction for `hold_out`, which counts only where there is no test data.

    Raises:
        ConfigError: A fraction that isn't one.
    """
    if test is None and not 0 < fraction < 1:
        raise ConfigError(f"data.test_size={fraction}: expected a fraction between 0 and 1, or give data.test")


def hold_out(table: Table, fraction: float) -> tuple[Table, dict[str, Table]]:
    """Split a test table off a table that came without one, the same for every seed."""
    inputs, labels = table
    order = np.random.default_rng(derive(0, "test")).permutation(len(labels))
    count = max(1, round(len(labels) * fraction)) if len(labels) else 0
    test, train = np.sort(order[:count]), np.sort(order[count:])
    return (inputs[torch.from_numpy(train)], labels[train]), {"test": (inputs[torch.from_numpy(test)], labels[test])}


def check(inputs: Tensor, raw: np.ndarray[Any, Any], key: str) -> None:
    if not len(raw):
        raise DataError(f"{key} has no examples")
    if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
        row = int((~torch.isfinite(inputs.reshape(len(inputs), -1))).any(1).nonzero()[0])
        raise DataError(f"{key}: example {row} has an input that is NaN or infinite: clean or fill it first")


def kind(inputs: Tensor) -> str:
    """Of one example, as messages show it: `float32 [3, 4]`."""
    return f"{str(inputs.dtype).removeprefix('torch.')} {list(inputs.shape[1:])}"


def same_kind(a: list[Label], b: list[Label]) -> bool:
    return isinstance(a[0], str) == isinstance(b[0], str)


def encode(raw: np.ndarray[Any, Any], labels: list[Label], key: str) -> Tensor:
    """Return the index of each label, int64 [N]."""
    index: Mapping[Label, int] = {label: i for i, label in enumerate(labels)}
    values, inverse = np.unique(raw, return_inverse=True)
    unknown = [v for v in values.tolist() if v not in index]
    if unknown:
        raise DataError(f"{key}: labels {unknown[:5]} are in neither data.train nor the state")
    return torch.from_numpy(np.array([index[v] for v in values.tolist()], dtype=np.int64)[inverse])
