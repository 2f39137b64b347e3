"""What is compiled, or why it can't be."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.fitting.learner import Learner
from renate.fitting.progress import Progress
from renate.fitting.trainer import check_compile
from renate.libraries.torch import as_written, compiled
from renate.updaters.base import Updater

PLAIN = {"accelerator": "cpu", "compile": False, "cuda_graphs": False}


def test_without_a_compiler_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    check_compile(PLAIN)
    monkeypatch.setenv("CXX", "no-such-compiler")
    check_compile(PLAIN)
    with pytest.raises(
        ConfigError,
        match=r"trainer.compile=true needs a C\+\+ compiler \(no-such-compiler\), which isn't here",
    ):
        check_compile(PLAIN | {"compile": True})


def test_graphs_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cuda_graphs=true needs an NVIDIA GPU, this fit is on"):
        check_compile(PLAIN | {"cuda_graphs": True})

    monkeypatch.setattr("renate.fitting.trainer.device_of", lambda settings: torch.device("cuda"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="trainer.cuda_graphs=true needs the package triton"):
        check_compile(PLAIN | {"cuda_graphs": True})


class Summed(nn.Linear):
    """Notes how it was compiled."""

    def compile(self, **how: Any) -> None:  # type: ignore[override]
        self.how = how
        self._compiled_call_impl = lambda inputs: torch.full((len(inputs), 2), 7.0)


@pytest.mark.parametrize(
    ("wanted", "graphs", "how"),
    [(True, False, {}), (False, True, {"mode": "reduce-overhead"}), (False, False, None)],
)
def test_a_model_is_compiled_within_a_fit_alone(
    wanted: bool, graphs: bool, how: dict[str, str] | None
) -> None:
    model = Summed(3, 2)
    inputs = torch.ones(4, 3)
    plain = model(inputs)
    names = list(model.state_dict())
    with compiled(model, wanted, graphs=graphs):
        assert getattr(model, "how", None) == how
        assert bool((model(inputs) == 7).all()) is (how is not None)
        assert list(model.state_dict()) == names
        with as_written(model):
            assert torch.equal(model(inputs), plain)
        assert bool((model(inputs) == 7).all()) is (how is not None)

    assert torch.equal(model(inputs), plain)


class Loss(Updater):
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return torch.ones(())


@pytest.mark.parametrize("graphs", [True, False])
def test_graphs_hear_of_each_step(graphs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Mock()
    monkeypatch.setattr("torch.compiler.cudagraph_mark_step_begin", told)
    progress = Progress(update=1, total=1)
    learner = Learner(nn.Linear(2, 2), Loss(), Mock(), None, progress, graphs=graphs)
    learner.training_step([1, 2], 0)  # type: ignore[arg-type]
    assert told.call_count == int(graphs)
