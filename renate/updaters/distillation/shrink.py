"""Weights that are drawn towards fresh ones before new data come."""

from dataclasses import dataclass

import torch
from torch import nn

from renate.checks.bounds import at_least_0, share


@dataclass(frozen=True)
class Shrinking:
    """A factor of the weights, 0 to 1, and the standard deviation of the noise that is added."""

    factor: float
    sigma: float

    def __post_init__(self) -> None:
        share(factor=self.factor)
        at_least_0(sigma=self.sigma)


@torch.no_grad()
def shrink_and_perturb(model: nn.Module, shrinking: Shrinking) -> None:
    """Multiply trained weights by a factor and add normal noise (Ash & Adams, 2020,
    https://arxiv.org/abs/1910.08475, section 4); the model is changed in place.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape).to(parameter)  # alike on every device
            parameter.mul_(shrinking.factor).add_(noise, alpha=shrinking.sigma)
