"""Parts of a model that training leaves as they are."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from renate.errors import ConfigError, nearest


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Let parts require no gradients and stay in evaluation mode, so that the statistics of their
    normalisation stay too.

    Args:
        model: Changed in place.
        patterns: Names of modules or parameters, as `layer1` or `layer?.0.bn*`.

    Raises:
        ConfigError: No part has such a name, or nothing is left to train.
    """
    if isinstance(patterns, str):
        raise ConfigError(f"model.freeze={patterns}: expected a list, as [{patterns}]")

    modules = {name: each for name, each in model.named_modules() if name}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        parts = [each for name, each in modules.items() if fnmatchcase(name, str(pattern))]
        single = [each for name, each in parameters.items() if fnmatchcase(name, str(pattern))]
        if not parts and not single:
            top = ", ".join(name for name, _ in model.named_children())
            close = nearest(str(pattern), [*modules, *parameters])
            raise ConfigError(f"model.freeze: the model has no part '{pattern}'{close} ({top}, …)")

        for part in parts:
            part.eval()
            part.requires_grad_(False)
        for parameter in single:
            parameter.requires_grad_(False)

    if patterns and not any(each.requires_grad for each in parameters.values()):
        raise ConfigError(
            f"model.freeze={list(patterns)}: nothing is left to train: leave the head out of it"
        )
