"""The encoder of a model that takes prompts."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from renate.data.model_inputs import ModelInputs
from renate.errors import ConfigError
from renate.models.prompting.pooled import PooledEncoder
from renate.updaters.base import Updater


def encoder_of(model: nn.Module) -> PooledEncoder:
    """Return a model that takes prompts, or the one in what a caller's own is wrapped in.

    Raises:
        ConfigError: It takes none.
    """
    whole = getattr(model, "net", model)
    if not isinstance(whole, PooledEncoder):
        raise ConfigError(
            f"model: {type(whole).__name__} takes no prompts: model=vit for images, "
            "model=text_transformer for texts"
        )
    return whole


def query_of(model: nn.Module, inputs: ModelInputs) -> Tensor:
    """Return the features of the encoder without any prompts, [B, D], without gradients."""
    with torch.no_grad():
        return encoder_of(model).features(inputs)


def take_over(updater: Updater, settings: Mapping[str, Any]) -> None:
    """Let a model's settings of its prompts count, within the bounds of an updater's.

    Raises:
        ConfigError: They are another's, or out of bounds.
    """
    names = inspect.signature(type(updater)).parameters
    own = {name: getattr(updater, name) for name in names}
    for name in settings:
        if name not in own:
            raise ConfigError(
                f"model: its prompts have a {name}, which {type(updater).__name__} hasn't: take "
                "the updater that the model is for"
            )

    try:
        type(updater)(**(own | dict(settings)))
    except ValueError as error:
        raise ConfigError(f"model: of its prompts {error}") from error
    for name, value in settings.items():
        setattr(updater, name, value)
