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

import renate
from renate.benchmark.models import MultiLayerPerceptron
from renate.compat.finder import TABLE
from renate.errors import ConfigError, StateError
from renate.models import RenateModule
from renate.models.renate_module import RenateWrapper


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


def test_weights_of_another_network_are_named() -> None:
    state = Net().state_dict()
    del state["layer.bias"]
    with pytest.raises(StateError, match="Net: the weights are another network's: .*layer.bias"):
        Net.from_state_dict(state)


def test_arguments_are_those_of_the_moment() -> None:
    class Wide(Net):
        def __init__(self, widths: list[int]) -> None:
            super().__init__(widths[0])
            RenateModule.__init__(self, {"widths": widths})

    widths = [4]
    net = Wide(widths)
    widths.append(9)
    assert json.loads(bytes(net.get_extra_state().tolist()))["constructor_arguments"] == {
        "widths": [4]
    }


def test_a_task_without_a_head_is_named() -> None:
    net = MultiLayerPerceptron(2, 3, 0, 4)
    net.add_task_params()
    net.add_task_params("week 1")
    assert net(torch.rand(1, 2), "week 1").shape == (1, 3)
    with pytest.raises(ConfigError, match="task_id='week 2': there are heads for default_task, we"):
        net(torch.rand(1, 2), "week 2")


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


def test_the_package_has_renates_top_names() -> None:
    assert callable(renate.get_execution_role)  # type: ignore[attr-defined]
    from renate import defaults

    assert (defaults.SEED, defaults.TASK_ID) == (0, "default_task")
    assert (defaults.BATCH_SIZE, defaults.MEMORY_SIZE, defaults.OPTIMIZER) == (32, 32, "Adam")
    with pytest.raises(AttributeError, match="'renate.defaults' has no attribute 'BATCHSIZE'"):
        _ = defaults.BATCHSIZE
