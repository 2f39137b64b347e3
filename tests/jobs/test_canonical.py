"""Objects in memory are known by what they are."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from renate.jobs.identity.canonical import digest


def net(seed: int = 0, width: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def frozen() -> nn.Module:
    model = net()
    next(model.parameters()).requires_grad_(False)
    return model


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    return model


def loose() -> nn.Module:
    model = tied()
    model[1].weight = nn.Parameter(model[0].weight.detach().clone())
    return model


def closure(number: float) -> Callable[[], float]:
    return lambda: number


def cycle() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


SAME = {
    "a network": net,
    "a data set": lambda: TensorDataset(torch.arange(6.0).view(3, 2), torch.arange(3)),
    "a set of words": lambda: {"one", "two", "three"},
    "words built anew": lambda: ["ab", "".join(["a", "b"])],
    "a cycle": cycle,
    "a closure": lambda: closure(0.5),
    "an array": lambda: np.arange(6).reshape(2, 3),
}


@pytest.mark.parametrize("what", SAME)
def test_equal_things_are_the_same(what: str) -> None:
    assert digest(SAME[what]()) == digest(SAME[what]())


torch.manual_seed(0)
DIFFERENT = {
    "weights": (net(0), net(1)),
    "a buffer": (net(), net().train(False)),
    "frozen": (net(), frozen()),
    "tied": (tied(), loose()),
    "dtype": (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "order": ([1, 2], [2, 1]),
    "kind": ([1, 2], (1, 2)),
    "one and true": ([1], [True]),
    "a closure's value": (closure(0.5), closure(0.25)),
    "data": (TensorDataset(torch.zeros(3)), TensorDataset(torch.ones(3))),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_different_things_differ(what: str) -> None:
    one, other = DIFFERENT[what]
    assert digest(one) != digest(other)


SCRIPT = """
import torch
from torch import nn
from my_code import Net
torch.manual_seed(0)
SCALE = {scale}
class Here(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()
        self.words = {{"a", "b", "c"}}
    def forward(self, x):
        return self.net(x) * SCALE
from renate.jobs.identity.canonical import digest
print(digest(Here()))
"""
CODE = """
from torch import nn
from my_layers import WIDTH
class Net(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
"""


@pytest.mark.slow
def test_the_same_in_every_process_until_its_code_changes(tmp_path: Path) -> None:
    """Also where a class is defined in the script itself, and what it reads lies in another
    module.
    """

    def run(scale: float = 1.0) -> str:
        (tmp_path / "main.py").write_text(textwrap.dedent(SCRIPT.format(scale=scale)))
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "my_code.py").write_text(CODE)
    (tmp_path / "my_layers.py").write_text("WIDTH = 4\n")
    first = run()
    assert run() == first
    assert run(scale=2.0) != first, "a global that a method reads"
    (tmp_path / "my_layers.py").write_text("WIDTH = 5\n")
    assert run() != first, "a module that the class's module imports"


def test_what_cannot_be_taken_apart_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file, pytest.raises(TypeError, match="an open file"):
        digest({"log": file})
