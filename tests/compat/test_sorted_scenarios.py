"""Renate's scenarios that sort, and that go through domains."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from renate.benchmark.datasets.base import DataIncrementalDataModule
from renate.benchmark.experiment_config import data_module_fn
from renate.benchmark.scenarios import (
    DataIncrementalScenario,
    FeatureSortingScenario,
    HueShiftScenario,
)
from renate.data.data_module import RenateDataModule
from renate.errors import ConfigError

IMAGES = torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Module(RenateDataModule):
    """Thirty images to train on, ten of them to test on."""

    def prepare_data(self) -> None:
        pass

    def setup(self) -> None:
        self._train_data = TensorDataset(IMAGES, torch.arange(30) % 3)
        self._test_data = TensorDataset(IMAGES[:10], torch.arange(10) % 3)


def firsts(items: Any) -> list[float]:
    return [float(image[0, 0, 0]) for image, _ in items]


def as_renate_cut(scores: list[float], chunks: int, seed: int) -> list[list[int]]:
    order = [row for _, row in sorted(zip(scores, range(len(scores)), strict=True))]
    generator = np.random.RandomState(seed)
    for _ in range(int(0.4 * len(order) / 2)):
        one, other = generator.randint(len(order), size=2)
        order[one], order[other] = order[other], order[one]
    return [part.tolist() for part in np.array_split(order, chunks)]


def test_features_are_sorted_as_renate_sorted_them() -> None:
    scores = [float(image[1].mean()) for image in IMAGES]
    for chunk in range(3):
        scenario = FeatureSortingScenario(Module("x"), 3, 1, 0.4, chunk, seed=5)
        scenario.setup()
        expected = as_renate_cut(scores, 3, 5)[chunk]
        assert firsts(scenario.train_data()) == [float(IMAGES[row, 0, 0, 0]) for row in expected]
        tests = [firsts(test) for test in scenario.test_data()]
        cut = as_renate_cut(scores[:10], 3, 5)
        assert tests == [[float(IMAGES[row, 0, 0, 0]) for row in rows] for rows in cut]


def test_hues() -> None:
    parts = []
    for chunk in range(2):
        scenario = HueShiftScenario(Module("x"), 2, 0.0, chunk)
        scenario.setup()
        parts.append(firsts(scenario.train_data()))
    assert sorted(parts[0] + parts[1]) == sorted(IMAGES[:, 0, 0, 0].tolist())


class Domains(DataIncrementalDataModule):
    """Four images of each domain, all of its number."""

    def prepare_data(self) -> None:
        self.prepared = [*getattr(self, "prepared", []), self.data_id]

    def setup(self) -> None:
        images = torch.full((4, 1, 2, 2), float(self.data_id))
        data = TensorDataset(images, torch.arange(4) % 2)
        self._train_data, self._val_data = self._split_train_val_data(data)
        self._test_data = data


def test_each_chunk_is_a_domain_or_several() -> None:
    scenario = DataIncrementalScenario(Domains("x", 0), 1, data_ids=(3, 1, 2))
    scenario.prepare_data()
    scenario.setup()
    assert set(firsts(scenario.train_data())) == {1.0}
    assert scenario.val_data() is None
    assert [set(firsts(test)) for test in scenario.test_data()] == [{3.0}, {1.0}, {2.0}]
    module: Any = scenario._data_module
    assert module.prepared == [3, 1, 2]

    grouped = DataIncrementalScenario(Domains("x", 0, val_size=0.25), 0, groupings=((3, 1), (2,)))
    grouped.setup()
    train: Any = grouped.train_data()
    held: Any = grouped.val_data()
    assert (len(train), len(held)) == (6, 2)
    assert set(firsts(train)) == {3.0, 1.0}
    assert [set(firsts(test)) for test in grouped.test_data()] == [{3.0, 1.0}, {2.0}]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataIncrementalScenario(Module("x"), 0, data_ids=(1,)), "Module has no domains"),
        (lambda: DataIncrementalScenario(Domains("x", 0), 0), "either data_ids or groupings"),
        (
            lambda: DataIncrementalScenario(Domains("x", 0), 0, groupings=((1,), ())),
            "expected a domain or more each",
        ),
        (
            lambda: DataIncrementalScenario(Domains("x", 0), 2, data_ids=(1, 2)),
            "chunk_id=2: expected a number from 0 to 1",
        ),
        (
            lambda: data_module_fn(
                "d", 0, 0, "FeatureSortingScenario", "MNIST", num_tasks=2, randomness=0.1
            ),
            "config_file.feature_idx=None: FeatureSortingScenario needs it",
        ),
        (
            lambda: data_module_fn("d", 0, 0, "HueShiftScenario", "MNIST", num_tasks=2),
            "config_file.randomness=None: HueShiftScenario needs it",
        ),
    ],
)
def test_what_cant_be_right(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
