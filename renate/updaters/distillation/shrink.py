"""Weights that are drawn nearer to fresh ones before new data come."""

import torch
from torch import nn


@torch.no_grad()
def shrink_and_perturb(model: nn.Module, factor: float, sigma: float) -> None:
    """Multiply trained weights by a factor and add noise (Ash & Adams, 2020,
    https://arxiv.org/abs/1910.08475, section 4).

    Args:
        model: Changed in place.
        factor: Of the weights, 0 to 1.
        sigma: Standard deviation of the normal noise.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape, dtype=parameter.dtype)  # alike on every device
            parameter.mul_(factor).add_(noise.to(parameter.device), alpha=sigma)
