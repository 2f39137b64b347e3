"""Lightning's strategy for weights that several processes share out, and what it can't train."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy

from renate.errors import ConfigError
from renate.fitting.learner import Learner
from renate.ranks import Ranks
from renate.updaters.base import OF_CONFIG, Updater

FSDP = "fsdp"


class FullySharded(DDPStrategy):
    """Starts, synchronises and ends processes as ddp does; the weights average their gradients
    themselves.

    Lightning's own strategy of this name refuses CPUs, and wraps the learner, so that what an
    updater calls isn't what is cut.
    """

    def configure_ddp(self) -> None:
        """Cut the weights in place of wrapping them."""
        learner = self.lightning_module
        assert isinstance(learner, Learner)
        learner.weights.cut(self.root_device.type)


def is_sharded(settings: Mapping[str, Any]) -> bool:
    """Whether settings ask for shares of the weights."""
    return bool(settings["strategy"] == FSDP)


def check_strategy(
    settings: Mapping[str, Any], updater: Updater, ranks: Ranks, device: torch.device
) -> None:
    """Return if a fit can be shared out as the settings ask.

    Args:
        settings: The group `trainer`.
        updater: What trains.
        ranks: The processes that take part.
        device: Where it trains.

    Raises:
        ConfigError: It can't.
    """
    strategy = str(settings["strategy"])
    if strategy.startswith((f"{FSDP}_", "deepspeed", "model_parallel")):
        raise ConfigError(
            f"trainer.strategy={strategy}: expected null, ddp, ddp_find_unused_parameters_true or "
            f"{FSDP}"
        )
    if strategy != FSDP:
        return

    found = f"trainer.strategy={FSDP}"
    if ranks.alone:
        raise ConfigError(
            f"{found} shares weights out among processes, here is one: trainer.devices=2, or "
            "trainer.strategy=null"
        )
    for key in ("compile", "cuda_graphs"):
        if settings.get(key):
            raise ConfigError(f"{found}: what is shared out isn't compiled: trainer.{key}=false")

    kept = [name for name in updater.state_dict() if not name.startswith(OF_CONFIG)]
    hooks = [
        hook
        for hook in ("after_step", "after_backward")
        if getattr(type(updater), hook) is not getattr(Updater, hook)
    ]
    if kept or hooks:
        what = f"keeps '{kept[0]}' beside the weights" if kept else "changes weights or gradients"
        raise ConfigError(
            f"{found}: {type(updater).__name__} {what}, which it isn't given whole: "
            "trainer.strategy=ddp"
        )

    if device.type == "cpu" and not hasattr(torch.cpu.Stream, "record_event"):
        raise ConfigError(
            f"{found}: torch {torch.__version__} shares weights out on GPUs alone: "
            "trainer.strategy=ddp, or a later torch"
        )
