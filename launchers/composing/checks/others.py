"""What classes of other libraries take, beyond what defaults tell: they look at it in the first
step, or never, and a learning rate below 0 unlearns.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError, within
from renate.libraries.omegaconf import is_interpolation, is_none, node_of

from .kinds import (
    AMOUNT,
    AMOUNT_OR_NULL,
    COUNT,
    COUNT_OR_NONE,
    COUNT_OR_NULL,
    NAME,
    PLACE,
    Flag,
    ListOf,
    Number,
    OneOf,
    Setting,
    check_kinds,
)

GROUPS = ("loss", "lr_scheduler", "callbacks", "logger", "trainer")  # whose objects are looked at
SHARE = Number(most=1)
WAY = OneOf(("max", "min"), optional=True)

LOWEST = ("eta_min", "min_lr")  # learning rates that schedules fall to

# Class -> argument -> what it takes; an argument that a config lacks is left out
KNOWN: Mapping[str, Mapping[str, Setting]] = {
    "torch.nn.CrossEntropyLoss": {"label_smoothing": SHARE},
    "torch.nn.HuberLoss": {"delta": AMOUNT},
    "torch.nn.SmoothL1Loss": {"beta": Number()},
    "torch.optim.lr_scheduler.StepLR": {"step_size": COUNT, "gamma": AMOUNT},
    "torch.optim.lr_scheduler.MultiStepLR": {
        "milestones": ListOf(COUNT, "whole numbers of 1 or more", fewest=1),
        "gamma": AMOUNT,
    },
    "torch.optim.lr_scheduler.ExponentialLR": {"gamma": AMOUNT},
    "torch.optim.lr_scheduler.CosineAnnealingLR": {
        "T_max": COUNT_OR_NULL,
        "eta_min": Number(),
    },
    "torch.optim.lr_scheduler.OneCycleLR": {
        "max_lr": AMOUNT_OR_NULL,
        "total_steps": COUNT_OR_NULL,
        "pct_start": SHARE,
        "div_factor": AMOUNT,
        "final_div_factor": AMOUNT,
        "anneal_strategy": OneOf(("cos", "linear")),
    },
    "torch.optim.lr_scheduler.ReduceLROnPlateau": {
        "mode": WAY,
        "factor": AMOUNT,
        "patience": COUNT_OR_NONE,
        "threshold": Number(),
        "cooldown": COUNT_OR_NONE,
        "min_lr": Number(),
    },
    "pytorch_lightning.callbacks.EarlyStopping": {
        "monitor": PLACE,
        "mode": WAY,
        "patience": COUNT_OR_NONE,
        "min_delta": Number(),
    },
    "pytorch_lightning.loggers.CSVLogger": {"save_dir": PLACE, "name": NAME},
    "pytorch_lightning.loggers.TensorBoardLogger": {
        "save_dir": PLACE,
        "name": NAME,
        "default_hp_metric": Flag(),
    },
    "pytorch_lightning.loggers.MLFlowLogger": {
        "experiment_name": NAME,
        "run_name": NAME,
        "tracking_uri": PLACE,
        "save_dir": PLACE,
    },
    "pytorch_lightning.loggers.WandbLogger": {
        "project": NAME,
        "name": NAME,
        "save_dir": PLACE,
        "offline": Flag(),
    },
}


def check_classes(config: DictConfig) -> None:
    """Compare the arguments of objects of other libraries with what these take.

    Raises:
        ConfigError: Naming key, value, and what was expected.
    """
    for group in GROUPS:
        for key, node in _objects(node_of(config, group), group):
            known = KNOWN.get(str(node["_target_"]), {})
            given = {
                name: kind
                for name, kind in known.items()
                if name in node and not is_interpolation(node_of(node, name))
            }
            check_kinds(node, given, key)

    _check_lowest(config)


def _check_lowest(config: DictConfig) -> None:
    """Raise where a learning rate would begin below the lowest that it is to fall to."""
    rate = OmegaConf.select(config, "optimizer.lr")
    for group in ("lr_scheduler", "lr_scheduler.then"):
        for name in LOWEST:
            lowest = OmegaConf.select(config, f"{group}.{name}")
            both = isinstance(lowest, int | float) and isinstance(rate, int | float)
            if both and lowest > rate:
                raise ConfigError(
                    f"{group}.{name}={lowest}: expected optimizer.lr={rate} or less, which it "
                    "falls from"
                )


def _objects(node: Any, key: str) -> Iterator[tuple[str, DictConfig]]:
    """Yield (key, config) of each object that a group asks for."""
    if not isinstance(node, DictConfig) or is_none(node):
        return

    if "_target_" in node:
        yield key, node
    for name in node:
        yield from _objects(node_of(node, name), within(key, name))
