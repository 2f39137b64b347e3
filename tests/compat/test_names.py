"""Renate's import paths, and what its base classes promise."""

import importlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import renate
from renate.benchmark.scenarios import (
    ClassIncrementalScenario,
    IIDScenario,
    ImageRotationScenario,
    PermutationScenario,
)
from renate.compat.finder import TABLE
from renate.data.data_module import CSVDataModule, RenateDataModule
from renate.data.datasets import NestedTensorDataset
from renate.errors import ConfigError, DataError, StateError
from renate.models import RenateModule
from renate.models.renate_module import RenateWrapper


class Numbers(RenateDataModule):
    """100 numbers, of 5 classes in turn."""

    def prepare_data(self) -> None:
        self.prepared = True

    def setup(self) -> None:
        images = torch.arange(100, dtype=torch.float32).reshape(100, 1, 1, 1).expand(100, 1, 4, 4)
        data = TensorDataset(images.contiguous(), torch.arange(100) % 5)
        self._train_data, self._val_data = self._split_train_val_data(data)
        self._test_data = TensorDataset(images[:50], torch.arange(50) % 5)


class Net(RenateModule):
    def __init__(self, width: int = 3) -> None:
        super().__init__(constructor_arguments={"width": width})
        self.layer = nn.Linear(2, width)
        self.heads = nn.ModuleDict()

    def _add_task_params(self, task_id: str) -> None:
        self.heads[task_id] = nn.Linear(self.layer.out_features, 2)

    def forward(self, x: torch.Tensor, task_id: str | None = None) -> torch.Tensor:
        hidden: torch.Tensor = self.layer(x)
        return hidden if task_id is None else self.heads[task_id](hidden)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_old_name_is_ours(name: str) -> None:
    place, _, attribute = TABLE[name].partition(":")
    expected: Any = importlib.import_module(place)
    if attribute:
        expected = getattr(expected, attribute)

    assert importlib.import_module(name) is expected
    package, _, last = name.rpartition(".")
    assert getattr(importlib.import_module(package), last) is expected


def test_names_cost_nothing_until_they_are_asked_for() -> None:
    code = "import sys, renate; print(*(m for m in sys.modules if m.startswith('renate.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["renate.compat", "renate.compat.finder"]


def test_insides_are_refused_by_name() -> None:
    with pytest.raises(ModuleNotFoundError, match="insides.*docs/migrating.md"):
        importlib.import_module("renate.utils.pytorch")
    with pytest.raises(ModuleNotFoundError, match="from renate import get_execution_role"):
        importlib.import_module("syne_tune.backend.sagemaker_backend.sagemaker_utils")
    with pytest.raises(ModuleNotFoundError, match="No module named 'renate.nothing'"):
        importlib.import_module("renate.nothing")


def test_a_module_is_made_again_from_its_weights() -> None:
    net = Net(width=5)
    net.add_task_params("a")
    net.add_task_params("a")
    net.add_task_params("b")
    again = Net.from_state_dict(net.state_dict())
    assert again.layer.out_features == 5
    assert list(again.heads) == ["a", "b"]
    inputs = torch.rand(3, 2)
    assert torch.equal(net(inputs, "b"), again(inputs, "b"))
    assert torch.equal(net.get_logits(inputs, "a"), again.get_logits(inputs, "a"))
    assert len(net.get_params()) == 6


def test_weights_hold_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(Net(4).state_dict(), path)
    loaded = torch.load(path, weights_only=True)
    extra = json.loads(bytes(loaded["_extra_state"].tolist()))
    assert extra == {"constructor_arguments": {"width": 4}, "task_ids": []}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (pickle.dumps({"constructor_arguments": {}}), "is a pickle.*renate state import"),
        (b"{}", "isn't what a RenateModule keeps there"),
        (None, "have no _extra_state"),
    ],
)
def test_weights_of_something_else(extra: bytes | None, message: str) -> None:
    state: dict[str, Any] = {"layer.weight": torch.zeros(1)}
    if extra is not None:
        state["_extra_state"] = torch.frombuffer(bytearray(extra), dtype=torch.uint8)
    with pytest.raises(StateError, match=message):
        Net.from_state_dict(state)


def test_arguments_that_a_state_cant_keep() -> None:
    class Odd(Net):
        def __init__(self) -> None:
            super().__init__()
            self._constructor_arguments = {"activation": nn.ReLU()}

    with pytest.raises(StateError, match="constructor_arguments: Object of type ReLU"):
        Odd().state_dict()


def test_a_wrapper_takes_any_network() -> None:
    wrapped = RenateWrapper(nn.Linear(2, 3))
    again = RenateWrapper(nn.Linear(2, 3))
    again.load_state_dict(wrapped.state_dict())
    inputs = torch.rand(4, 2)
    assert torch.equal(wrapped(inputs, "any"), again(inputs))
    with pytest.raises(StateError, match="make it again"):
        RenateWrapper.from_state_dict(wrapped.state_dict())


def test_a_wrapper_unpacks_what_it_is_given() -> None:
    class Sum(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> Any:
            return (a + 2 * b,)

    one, two = torch.rand(3, 2), torch.rand(3, 2)
    wrapped = RenateWrapper(Sum())
    assert torch.equal(wrapped({"b": two, "a": one}), one + 2 * two)
    assert torch.equal(wrapped((one, two)), one + 2 * two)


def test_validation_is_split_off_by_the_seed() -> None:
    def held(seed: int, size: float) -> list[float]:
        module = Numbers("x", val_size=size, seed=seed)
        module.setup()
        data: Any = module.val_data()
        return [] if data is None else sorted(float(x[0, 0, 0]) for x, _ in data)

    assert len(held(0, 0.2)) == 20
    assert held(0, 0.2) == held(0, 0.2)
    assert held(0, 0.2) != held(1, 0.2)
    assert held(0, 0.0) == []
    with pytest.raises(ConfigError, match="val_size=1.5: expected a fraction"):
        Numbers("x", val_size=1.5)
    with pytest.raises(DataError, match=r"setup\(\) made no training data"):
        Numbers("x").train_data()


def test_csv_files(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y,b\n1,0,2\n3,1,4\n5,0,6\n7,1,8\n")
    (tmp_path / "test.csv").write_text("a,y,b\n9,1,10\n")
    module = CSVDataModule(tmp_path, val_size=0.25)
    module.prepare_data()
    module.setup()
    train: Any = module.train_data()
    val: Any = module.val_data()
    rows = sorted((x.tolist(), int(y)) for part in (train, val) for x, y in part)
    assert rows == [([1, 2], 0), ([3, 4], 1), ([5, 6], 0), ([7, 8], 1)]
    assert len(val) == 1
    test: Any = module.test_data()
    assert test[0][0].tolist() == [9, 10]

    with pytest.raises(DataError, match="no column 'z'|target"):
        CSVDataModule(tmp_path, target_name="z").setup()


def test_nested_tensors() -> None:
    data = NestedTensorDataset(({"a": torch.arange(3)}, torch.arange(3) * 2))
    assert len(data) == 3
    assert data[1] == ({"a": torch.tensor(1)}, torch.tensor(2))
    with pytest.raises(ValueError, match="as many in each"):
        NestedTensorDataset((torch.zeros(2), torch.zeros(3)))


def inputs_of(data: Any) -> set[float]:
    return {float(x.flatten()[0]) for x, _ in data}


def test_classes_come_in_groups() -> None:
    groups = [[0, 1], [2, 3, 4]]
    for chunk in (0, 1):
        scenario = ClassIncrementalScenario(
            Numbers("x", val_size=0.2), class_groupings=groups, chunk_id=chunk
        )
        scenario.prepare_data()
        scenario.setup()
        for part in (scenario.train_data(), scenario.val_data()):
            items: Any = part
            assert {int(y) for _, y in items} <= set(groups[chunk])
        tests = scenario.test_data()
        assert [{int(y) for _, y in test} for test in tests] == [set(g) for g in groups]

    with pytest.raises(ConfigError, match="chunk_id=2: expected a number from 0 to 1"):
        ClassIncrementalScenario(Numbers("x"), groups, chunk_id=2)
    scenario = ClassIncrementalScenario(Numbers("x"), [[7], [1]])
    with pytest.raises(DataError, match="chunk 0: no training example of class 7"):
        scenario.setup()


def test_parts_are_disjoint_and_complete() -> None:
    parts = []
    for chunk in range(4):
        scenario = IIDScenario(Numbers("x"), num_tasks=4, chunk_id=chunk)
        scenario.setup()
        parts.append(inputs_of(scenario.train_data()))
    assert set().union(*parts) == set(map(float, range(100)))
    assert sum(map(len, parts)) == 100


def test_each_chunk_is_another_view() -> None:
    class Corner(Numbers):
        """Images with one bright corner, and a class each."""

        def setup(self) -> None:
            images = torch.zeros(40, 1, 4, 4)
            images[:, :, 0, 0] = 1.0
            self._train_data = self._test_data = TensorDataset(images, torch.arange(40) % 2)

    corners = []
    for chunk in (0, 1):
        scenario = ImageRotationScenario(Corner("x"), degrees=[0, 180], chunk_id=chunk)
        scenario.setup()
        data: Any = scenario.train_data()
        corners.append((float(data[0][0][0, 0, 0]), float(data[0][0][0, 3, 3])))
    assert corners == [(1.0, 0.0), (0.0, 1.0)]

    bright = set()
    for chunk in range(3):
        permuted = PermutationScenario(Corner("x"), 3, input_dim=16, chunk_id=chunk)
        permuted.setup()
        items: Any = permuted.train_data()
        bright.add(int(items[0][0].flatten().argmax()))
    assert len(bright) > 1


def test_the_package_has_renates_top_names() -> None:
    assert callable(renate.get_execution_role)  # type: ignore[attr-defined]
    from renate import defaults

    assert (defaults.SEED, defaults.TASK_ID) == (0, "default_task")
    assert (defaults.BATCH_SIZE, defaults.MEMORY_SIZE, defaults.OPTIMIZER) == (32, 32, "Adam")
    with pytest.raises(AttributeError, match="'renate.defaults' has no attribute 'BATCHSIZE'"):
        _ = defaults.BATCHSIZE
