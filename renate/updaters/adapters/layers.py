"""Which of a model's layers are adapted."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from renate.errors import ConfigError, nearest
from renate.updaters.shared.features import head_of

# These compute by their layers' weights, and never call the layers
CLOSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def layers_to_adapt(
    model: nn.Module, outputs: int, patterns: Sequence[str] | None
) -> dict[str, nn.Module]:
    """Return the layers that are adapted by their names.

    Args:
        model: Whose.
        outputs: Of the model, by which its head is found, which is trained as it is.
        patterns: Ends of names, as `query` or `layer.1.*.dense`; None takes all linear layers and
            convolutions besides the head.

    Raises:
        ConfigError: There are none, or none of such a name.
    """
    head = head_of(model, outputs)
    closed = tuple(f"{name}." for name, part in model.named_modules() if isinstance(part, CLOSED))
    fitting = {
        name: layer
        for name, layer in model.named_modules()
        if _fits(layer) and layer is not head and not name.startswith(closed)
    }
    if not fitting:
        raise ConfigError(
            f"updater: {type(model).__name__} has no linear layer and no convolution besides its "
            "head that an adapter could change: another model, or updater=er"
        )
    if patterns is None:
        return fitting
    if not patterns:
        raise ConfigError("updater.layers=[]: expected the end of a name or more, or null for all")
    if isinstance(patterns, str):
        raise ConfigError(f"updater.layers={patterns}: expected a list, as [{patterns}]")

    chosen: dict[str, nn.Module] = {}
    for pattern in patterns:
        found = {name: layer for name, layer in fitting.items() if _is_named(name, str(pattern))}
        if not found:
            ends = sorted({name.rpartition(".")[2] for name in fitting})
            raise ConfigError(
                f"updater.layers: no layer that can be adapted is called '{pattern}'"
                f"{nearest(str(pattern), ends)} ({', '.join(ends)})"
            )
        chosen |= found

    return chosen


def shape_of(layer: nn.Module) -> torch.Size:
    """Return the shape of a layer's weight as that of the change: [out, in], or [out, in, height,
    width].
    """
    weight: Any = layer.weight
    if _is_transposed(layer):
        return torch.Size(weight.shape[::-1])
    return torch.Size(weight.shape)


def _fits(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1
    return isinstance(layer, nn.Linear) or _is_transposed(layer)


def _is_transposed(layer: nn.Module) -> bool:
    """Whether it is GPT-2's linear layer, whose weight is [in, out]."""
    kind = type(layer)
    return (kind.__module__, kind.__qualname__) == ("transformers.pytorch_utils", "Conv1D")


def _is_named(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")
