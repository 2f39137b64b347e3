"""Renate's scenarios whose chunks follow a score of the examples."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset

from renate.build import build, shipped
from renate.compat.data.data_module import RenateDataModule
from renate.compat.data.items import table_of
from renate.compat.data.scenarios import Scenario
from renate.data.model_inputs import named_columns
from renate.data.scenarios.sorting import Sorting, softly_sorted
from renate.errors import DataError


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
            DataError: They have no such score, or one that is no number.
        """
        inputs = table_of(items, f"data.{part}").inputs
        columns = named_columns(inputs)
        scores = self._scores.scores(columns)
        if not np.isfinite(scores).all():
            row = int(np.argmin(np.isfinite(scores)))
            raise DataError(f"data.{part}: example {row} can't be sorted by {scores[row]}")

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
