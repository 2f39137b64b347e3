"""What of a model is trained."""

from torch import nn


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of a model that are trained by their names, in its order."""
    return {name: each for name, each in model.named_parameters() if each.requires_grad}
