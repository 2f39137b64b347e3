"""What trains and what evaluates when an update begins, as a loop of PyTorch's would have it."""

from pathlib import Path
from typing import Self

import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn

from renate.models.own.modes import enter_training
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table

OWN = """
from torch import nn


class Made(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, num_classes))
        self[1].eval()


class Told(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, num_classes))

    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self
"""


class Steady(nn.Module):
    """Its batch norm stays as it is, by its `train` alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.drop(self.norm(inputs))
        return outputs


def test_a_train_of_its_own_is_heard() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Steady(), nn.BatchNorm1d(3))
    assert enter_training(model) == ["1.norm"]
    assert [part.training for part in model.modules()] == [True, True, True, False, True, True]


def test_what_was_made_evaluating_stays_so() -> None:
    model = nn.Sequential(nn.Dropout(0.5).eval(), nn.Dropout(0.0).eval(), nn.ReLU().eval())
    assert enter_training(model) == ["0"]
    assert not any(part.training for part in model[:3])


@pytest.mark.parametrize("name", ["Made", "Told"])
def test_statistics_stay_through_an_update(workdir: Path, name: str) -> None:
    (workdir / "my_steady.py").write_text(OWN)
    write_table(workdir / "week.parquet", seed=0)
    model_words = ["model=torch_module", f"model._target_=my_steady.{name}"]
    done = command(
        *(*model_words, "+model.num_classes=null"),
        *("data=files", "data.train=week.parquet", "data.target=label"),
        *("state.url=./state", "state.first=true", "trainer.max_epochs=2"),
        cwd=workdir,
    )
    assert done.returncode == 0, done.stderr
    assert "model: in evaluation mode, as the model was made: '1'" in done.stdout + done.stderr

    state = State("./state")
    saved = load(bytes(state.read(state.manifest(1), "model.safetensors")))
    (mean,) = [each for key, each in saved.items() if key.endswith("running_mean")]
    assert torch.equal(mean, torch.zeros(4))
