"""Renate's way to make an optimizer before there are parameters."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from renate.build import shipped
from renate.errors import ConfigError, nearest

MAKES: dict[str, Any] = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}


def create_partial_optimizer(
    optimizer: str | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
) -> Callable[..., torch.optim.Optimizer]:
    """Return what makes an optimizer of parameters.

    Args:
        optimizer: `Adam` or `SGD`; None, as with what follows, is Renate's own default.
        lr: The learning rate.
        momentum: Of SGD.
        weight_decay: The weight decay.

    Raises:
        ConfigError: Another optimizer.
    """
    defaults = shipped("compat", "job")
    name = defaults["optimizer"] if optimizer is None else optimizer
    if name not in MAKES:
        raise ConfigError(
            f"optimizer={name!r}: expected one of {', '.join(MAKES)}{nearest(str(name), MAKES)}"
        )

    given = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
    keys = {"lr": "learning_rate"}
    arguments = {
        key: defaults[keys.get(key, key)] if value is None else value
        for key, value in given.items()
        if key != "momentum" or name == "SGD"
    }
    return partial(MAKES[name], **arguments)
