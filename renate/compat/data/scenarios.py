"""Renate's scenarios: data modules of which each chunk is a part, or another view."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset

from renate.build import build, shipped
from renate.compat.data.data_module import Collate, RenateDataModule
from renate.compat.data.items import table_of
from renate.errors import ConfigError, DataError
from renate.seeds import derive

Groups = Sequence[Sequence[int]]
EXPECTED = "ClassIncrementalScenario: give groupings, the classes of each chunk"
NAMES = {"train": "training", "val": "validation", "test": "test"}


class Scenario(RenateDataModule, ABC):
    """One chunk of a data module; the test data of all chunks.

    Args:
        data_module: What is cut.
        num_tasks: How many chunks there are.
        chunk_id: Which one.
        seed: Of what is random in the cut.
    """

    def __init__(
        self, data_module: RenateDataModule, num_tasks: int, chunk_id: int, seed: int = 0
    ) -> None:
        super().__init__(data_module._data_path, seed=seed)
        if type(num_tasks) is not int or num_tasks < 1:
            raise ConfigError(f"num_tasks={num_tasks!r}: expected a whole number of 1 or more")
        if type(chunk_id) is not int or not 0 <= chunk_id < num_tasks:
            how = "" if chunk_id is not None else "; to a command data.chunk_id=0 says it"
            raise ConfigError(
                f"chunk_id={chunk_id!r}: expected a number from 0 to {num_tasks - 1}{how}"
            )

        self._data_module = data_module
        self._num_tasks = num_tasks
        self._chunk_id = chunk_id
        self._tests: list[Dataset[Any]] = []

    def prepare_data(self) -> None:
        """Download, if need be."""
        self._data_module.prepare_data()

    def setup(self) -> None:
        """Cut the chunk, and the test data of all chunks.

        Raises:
            DataError: Data that can't be cut so, or a chunk without an example.
        """
        module = self._data_module
        module.setup()
        self._train_data = self._chunk_of(module.train_data(), self._chunk_id, "train")
        held = module.val_data()
        if held is None:
            self._val_data = None
        else:
            self._val_data = self._chunk_of(held, self._chunk_id, "val")

        test = module.test_data()
        if test is not None:
            chunks = range(self._num_tasks)
            self._tests = [self._chunk_of(test, chunk, "test") for chunk in chunks]

    def _chunk_of(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        found = self.cut(items, chunk, part)
        if not len(found):  # type: ignore[arg-type]
            raise DataError(
                f"data.{part}: of its {len(items)} examples "  # type: ignore[arg-type]
                f"none is left for chunk {chunk} of {self._num_tasks}"
            )
        return found

    def test_data(self) -> Any:
        """Return the test data of each chunk."""
        return self._tests or None

    def train_collate_fn(self) -> Collate | None:
        """Return that of what is cut."""
        return self._data_module.train_collate_fn()

    def val_collate_fn(self) -> Collate | None:
        """Return that of what is cut."""
        return self._data_module.val_collate_fn()

    def test_collate_fn(self) -> Collate | None:
        """Return that of what is cut."""
        return self._data_module.test_collate_fn()

    @abstractmethod
    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return a chunk of a part, `train`, `val` or `test`, of the data."""


class ClassIncrementalScenario(Scenario):
    """Each chunk has some of the classes.

    Args:
        data_module: What is cut.
        groupings: The classes of each chunk; as in some of Renate's releases, the chunk may stand
            here and these after it.
        chunk_id: Which one.
        class_groupings: Its name before.
    """

    def __init__(
        self,
        data_module: RenateDataModule,
        groupings: Groups | int | None = None,
        chunk_id: Groups | int = 0,
        class_groupings: Groups | None = None,
    ) -> None:
        groups: Any = groupings
        chunk: Any = chunk_id
        if isinstance(groupings, int):
            groups = chunk_id
            chunk = groupings

        if class_groupings is not None:
            if groups is not None and groups != 0:
                raise ConfigError(f"{EXPECTED}, once")
            groups = class_groupings

        is_of_groups = isinstance(groups, list | tuple) and all(
            isinstance(group, list | tuple) and group for group in groups
        )
        if not groups or not is_of_groups:
            raise ConfigError(f"groupings={groups!r}: {EXPECTED}, as [[0, 1], [2, 3]]")

        super().__init__(data_module, len(groups), chunk)
        self._groupings = [list(group) for group in groups]

    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return the examples of a chunk's classes.

        Raises:
            DataError: A class has none.
        """
        wanted = self._groupings[chunk]
        targets = [_plain(items[row][1]) for row in range(len(items))]  # type: ignore[arg-type]
        rows = [row for row, target in enumerate(targets) if target in wanted]
        missing = set(wanted) - {targets[row] for row in rows}
        if missing:
            raise DataError(f"chunk {chunk}: no {NAMES[part]} example of class {min(missing)}")
        return Subset(items, rows)


def _plain(target: Any) -> Any:
    """A number as it is, also where a tensor holds it: 0.5 is of no class."""
    return target.item() if isinstance(target, torch.Tensor) else target


class _Ours(Scenario):
    """A chunk as one of our own scenarios cuts it, from columns."""

    def __init__(
        self,
        data_module: RenateDataModule,
        num_tasks: int,
        node: dict[str, Any],
        chunk_id: int,
        seed: int,
    ) -> None:
        super().__init__(data_module, num_tasks, chunk_id, seed)
        self._ours: Any = build(node, "scenario")

    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return the chunk's rows."""
        read = table_of(items, f"data.{part}")
        columns = {"inputs": read.inputs, "targets": torch.from_numpy(read.targets.copy())}
        cut = self._ours.cut(
            columns, index=chunk, seed=derive(self._seed, "scenario"), num_classes=0, part=part
        )
        return torch.utils.data.TensorDataset(cut["inputs"], cut["targets"])


class IIDScenario(_Ours):
    """Each chunk is a random part of the data.

    Args:
        data_module: What is cut.
        num_tasks: How many chunks there are.
        chunk_id: Which one.
        seed: Of the parts.
    """

    def __init__(
        self, data_module: RenateDataModule, num_tasks: int, chunk_id: int, seed: int = 0
    ) -> None:
        node = shipped("scenario", "iid") | {"chunks": num_tasks}
        super().__init__(data_module, num_tasks, node, chunk_id, seed)


class ImageRotationScenario(_Ours):
    """Each chunk shows its share of the images under one rotation.

    Args:
        data_module: What is cut.
        degrees: The angle of each chunk.
        chunk_id: Which one.
        seed: Of the shares.
    """

    def __init__(
        self, data_module: RenateDataModule, degrees: Sequence[int], chunk_id: int, seed: int = 0
    ) -> None:
        node = shipped("scenario", "rotation") | {"chunks": None, "degrees": list(degrees)}
        super().__init__(data_module, len(degrees), node, chunk_id, seed)


class PermutationScenario(_Ours):
    """Each chunk shows its share of the inputs' values in an order of its own.

    Args:
        data_module: What is cut.
        num_tasks: How many chunks there are.
        input_dim: Shape of an input, or how many values it has; None takes what the data say.
        chunk_id: Which one.
        seed: Of shares and orders.
    """

    def __init__(
        self,
        data_module: RenateDataModule,
        num_tasks: int,
        input_dim: int | Sequence[int] | None,
        chunk_id: int,
        seed: int = 0,
    ) -> None:
        node = shipped("scenario", "permutation") | {"chunks": num_tasks}
        super().__init__(data_module, num_tasks, node, chunk_id, seed)
        self._input_dim = input_dim

    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return the chunk's rows.

        Raises:
            DataError: Inputs of another size than was said.
        """
        found: Any = super().cut(items, chunk, part)
        shape = list(found.tensors[0].shape[1:])
        said = self._input_dim
        if said is not None and math.prod(shape) != np.prod(said):
            raise DataError(f"input_dim={said}: an input of data.{part} is {shape}")

        dataset: Dataset[Any] = found
        return dataset
