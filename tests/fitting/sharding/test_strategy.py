"""What shares of the weights can't train is told before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from renate.errors import ConfigError
from renate.fitting.sharding.strategy import check_strategy
from renate.fitting.sharding.weights import blocks_of
from renate.ranks import ALONE, Ranks
from renate.updaters.base import Updater
from renate.updaters.er import ER
from renate.updaters.regularization.ewc import EWC
from tests.command import renate

TWO = Ranks(rank=0, size=2)
GPU = torch.device("cuda")


def settings(**changed: Any) -> dict[str, Any]:
    return {"strategy": "fsdp", "compile": False, "cuda_graphs": False} | changed


class Averaged(ER):
    """Averages its weights after each step."""

    def after_step(self, model: nn.Module) -> None:
        """It would."""


def er(kind: type[Updater] = ER) -> Updater:
    updater = kind(replay_batch_size=4)
    updater.criterion = nn.CrossEntropyLoss()
    return updater


def test_what_fits_is_taken() -> None:
    check_strategy(settings(), er(), TWO, GPU)
    for strategy in (None, "auto", "ddp", "ddp_find_unused_parameters_true"):
        check_strategy(settings(strategy=strategy), er(Averaged), ALONE, GPU)


@pytest.mark.parametrize(
    ("changed", "kind", "ranks", "said"),
    [
        (
            {},
            ER,
            ALONE,
            "among processes, here is one: trainer.devices=2, or trainer.strategy=null",
        ),
        ({"compile": True}, ER, TWO, "isn't compiled: trainer.compile=false"),
        ({"cuda_graphs": True}, ER, TWO, "isn't compiled: trainer.cuda_graphs=false"),
        ({}, Averaged, TWO, "Averaged changes weights or gradients, .* trainer.strategy=ddp"),
        ({"strategy": "deepspeed_stage_2"}, ER, TWO, "deepspeed_stage_2: expected null, ddp, "),
        ({"strategy": "fsdp_cpu_offload"}, ER, TWO, "fsdp_cpu_offload: expected null, ddp, "),
    ],
)
def test_what_does_not_is_told(
    changed: dict[str, Any], kind: type[Updater], ranks: Ranks, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_strategy(settings(**changed), er(kind), ranks, GPU)


def test_what_an_updater_keeps_of_the_weights_is_told() -> None:
    ewc = EWC(strength=1.0, gamma=1.0, fisher="weighted", fisher_batch_size=4)
    ewc.criterion = nn.CrossEntropyLoss()
    ewc.setup(nn.Linear(2, 2))
    with pytest.raises(ConfigError, match=r"fsdp: EWC keeps '.*' beside the weights, which"):
        check_strategy(settings(), ewc, TWO, GPU)


def test_torchs_that_share_on_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu.Stream, "record_event", raising=False)
    check_strategy(settings(), er(), TWO, GPU)
    with pytest.raises(ConfigError, match=r"torch 2\..* on GPUs alone: trainer.strategy=ddp, or a"):
        check_strategy(settings(), er(), TWO, torch.device("cpu"))


def test_the_command_says_it(workdir: Path) -> None:
    done = renate("trainer.strategy=fsdp", "trainer.accelerator=cpu", cwd=workdir, code=1)
    said = done.stderr.splitlines()[-1]
    assert said.startswith("renate: trainer.strategy=fsdp shares weights out among processes")


def test_blocks_are_what_stands_in_a_list() -> None:
    inner = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    layers = nn.ModuleList([nn.Linear(3, 3), inner])
    model = nn.ModuleDict({"embed": nn.Linear(2, 3), "layers": layers, "head": nn.Linear(3, 1)})
    assert blocks_of(model) == [inner[0], inner, layers[0]]
