"""A model's features: what its last layer takes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.model_inputs import ModelInputs
from renate.errors import ConfigError


def head_of(model: nn.Module, outputs: int) -> nn.Linear:
    """Return the last linear layer that has an output for each of the model's.

    Raises:
        ConfigError: There is none.
    """
    found = [
        layer
        for layer in model.modules()
        if isinstance(layer, nn.Linear) and layer.out_features == outputs
    ]
    if not found:
        raise ConfigError(
            f"model: this updater takes what a linear layer of {outputs} outputs is given, and "
            f"{type(model).__name__} ends in none: another model, or updater=er"
        )

    return found[-1]


def features_of(model: nn.Module, inputs: ModelInputs, head: nn.Linear) -> Tensor:
    """Return what a model's head is given, [B, D].

    Args:
        model: Called once.
        inputs: Of a batch.
        head: The model's, see `head_of`.

    Raises:
        ConfigError: What the head answers isn't what the model does.
    """
    calls: list[tuple[Tensor, Tensor]] = []
    handle = head.register_forward_hook(lambda _, given, answer: calls.append((given[0], answer)))
    try:
        outputs = model(inputs)
    finally:
        handle.remove()

    if not calls or not _same(calls[-1][1], outputs):
        raise ConfigError(
            f"model: this updater takes what the last layer is given, and {type(model).__name__} "
            "changes what that answers: another model, or updater=er"
        )

    return calls[-1][0]


def directions_of(model: nn.Module, inputs: ModelInputs, outputs: int) -> Tensor:
    """Return what a model's head is given, each example's of length 1, float32 [B, D]; 0 stays 0.

    Args:
        model: See `features_of`, as `inputs`.
        inputs: Of a batch.
        outputs: Of the model, by which its head is found.

    Raises:
        ConfigError: See `features_of` and `head_of`.
    """
    return F.normalize(features_of(model, inputs, head_of(model, outputs)).float(), dim=1)


def _same(answer: Tensor, outputs: Tensor) -> bool:
    """Whether two are one, or equal, as where a wrapper has made a copy."""
    if answer is outputs:
        return True
    return answer.shape == outputs.shape and torch.equal(answer, outputs)


def freeze_all(model: nn.Module) -> None:
    """Let no part of a model be trained: no gradients, no dropout, statistics that stay."""
    model.requires_grad_(False)
    model.eval()
