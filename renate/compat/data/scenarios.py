"""Renate's scenarios: data modules of which each chunk is a part, or another view."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, Subset

from renate.build import build, shipped
from renate.compat.data.data_module import RenateDataModule
from renate.compat.data.items import table_of
from renate.data.model_inputs import named_columns
from renate.data.scenarios.sorting import Sorting, softly_sorted
from renate.errors import ConfigError, DataError
from renate.seeds import derive


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
        if not isinstance(chunk_id, int) or not 0 <= chunk_id < num_tasks:
            raise ConfigError(f"chunk_id={chunk_id}: expected a number from 0 to {num_tasks - 1}")

        self._data_module = data_module
        self._num_tasks = num_tasks
        self._chunk_id = chunk_id
        self._tests: list[Dataset[Any]] = []

    def prepare_data(self) -> None:
        """Download, if need be."""
        self._data_module.prepare_data()

    def setup(self) -> None:
        """Cut the chunk, and the test data of all chunks."""
        module = self._data_module
        module.setup()
        self._train_data = self.cut(module.train_data(), self._chunk_id, "train")
        held = module.val_data()
        if held is None:
            self._val_data = None
        else:
            self._val_data = self.cut(held, self._chunk_id, "val")

        test = module.test_data()
        if test is not None:
            chunks = range(self._num_tasks)
            self._tests = [self.cut(test, chunk, "test") for chunk in chunks]

    def test_data(self) -> Any:
        """Return the test data of each chunk."""
        return self._tests or None

    @abstractmethod
    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return a chunk of a part, `train`, `val` or `test`, of the data."""


class ClassIncrementalScenario(Scenario):
    """Each chunk has some of the classes.

    Args:
        data_module: What is cut.
        groupings: The classes of each chunk.
        chunk_id: Which one.
        class_groupings: Its name before.
    """

    def __init__(
        self,
        data_module: RenateDataModule,
        groupings: Sequence[Sequence[int]] | None = None,
        chunk_id: int = 0,
        class_groupings: Sequence[Sequence[int]] | None = None,
    ) -> None:
        groups = groupings
        if groupings is None:
            groups = class_groupings

        if not groups or (groupings is not None and class_groupings is not None):
            raise ConfigError("ClassIncrementalScenario: give groupings, the classes of each chunk")
        super().__init__(data_module, len(groups), chunk_id)
        self._groupings = [list(group) for group in groups]

    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return the examples of a chunk's classes.

        Raises:
            DataError: A class has none, in the training data.
        """
        wanted = self._groupings[chunk]
        targets = [int(items[row][1]) for row in range(len(items))]  # type: ignore[arg-type]
        missing = set(wanted) - set(targets)
        if missing and part == "train":
            raise DataError(f"chunk {chunk}: no training example of class {min(missing)}")
        return Subset(items, [row for row, target in enumerate(targets) if target in wanted])


class _Ours(Scenario):
    """A chunk as one of our own scenarios cuts it, from columns."""

    def __init__(
        self, data_module: RenateDataModule, node: dict[str, Any], chunk_id: int, seed: int
    ) -> None:
        self._ours: Any = build(node, "scenario")
        super().__init__(data_module, self._ours.chunks, chunk_id, seed)

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
        super().__init__(data_module, node, chunk_id, seed)


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
        super().__init__(data_module, node, chunk_id, seed)


class PermutationScenario(_Ours):
    """Each chunk shows its share of the inputs' values in an order of its own.

    Args:
        data_module: What is cut.
        num_tasks: How many chunks there are.
        input_dim: Shape of an input; the data say it.
        chunk_id: Which one.
        seed: Of shares and orders.
    """

    def __init__(
        self,
        data_module: RenateDataModule,
        num_tasks: int,
        input_dim: int | Sequence[int],
        chunk_id: int,
        seed: int = 0,
    ) -> None:
        node = shipped("scenario", "permutation") | {"chunks": num_tasks}
        super().__init__(data_module, node, chunk_id, seed)


class _Sorted(Scenario):
    """A chunk of the data in the order of a score, some pairs swapped, as Renate drew them."""

    def __init__(
        self,
        data_module: RenateDataModule,
        num_tasks: int,
        scores: Sorting,
        chunk_id: int,
        seed: int,
    ) -> None:
        super().__init__(data_module, num_tasks, chunk_id, seed)
        self._scores = scores

    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return the chunk's items.

        Raises:
            DataError: They have no such score.
        """
        inputs = table_of(items, f"data.{part}").inputs
        columns = named_columns(inputs)
        scores = self._scores.scores(columns)
        order = softly_sorted(scores, self._scores.randomness, self._seed % 2**32)
        rows = torch.tensor_split(order, self._num_tasks)[chunk]
        return Subset(items, rows.tolist())


class FeatureSortingScenario(_Sorted):
    """Each chunk has examples of a range of one feature.

    Args:
        data_module: What is cut.
        num_tasks: How many chunks there are.
        feature_idx: Position in an example's first dimension; the others are averaged.
        randomness: From 0 to 1: how many examples change places after sorting.
        chunk_id: Which one.
        seed: Of these changes.
    """

    def __init__(
        self,
        data_module: RenateDataModule,
        num_tasks: int,
        feature_idx: int,
        randomness: float,
        chunk_id: int,
        seed: int = 0,
    ) -> None:
        node = shipped("scenario", "feature_sorting")
        node |= {"chunks": num_tasks, "feature": feature_idx, "randomness": randomness}
        super().__init__(data_module, num_tasks, build(node, "scenario"), chunk_id, seed)


class HueShiftScenario(_Sorted):
    """Each chunk has images of a range of hues.

    Args:
        data_module: What is cut.
        num_tasks: How many chunks there are.
        randomness: From 0 to 1: how many examples change places after sorting.
        chunk_id: Which one.
        seed: Of these changes.
    """

    def __init__(
        self,
        data_module: RenateDataModule,
        num_tasks: int,
        randomness: float,
        chunk_id: int,
        seed: int = 0,
    ) -> None:
        node = shipped("scenario", "hue_shift") | {"chunks": num_tasks, "randomness": randomness}
        super().__init__(data_module, num_tasks, build(node, "scenario"), chunk_id, seed)
