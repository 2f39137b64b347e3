"""Pairs of examples mixed, inputs and targets alike."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.model_inputs import single
from renate.errors import DataError


class Mixup(nn.Module):
    """Train on convex combinations of pairs of examples (Zhang et al., 2018,
    https://arxiv.org/abs/1710.09412, equation 1).

    A batch has one weight, drawn from Beta(alpha, alpha), and a random partner for each example.

    Args:
        alpha: Above 0; the smaller, the less is mixed.

    Attributes:
        outputs: Of the model; classes become as many probabilities. The job sets it.
    """

    outputs: int = 0

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha={alpha}: expected above 0")
        self.alpha = alpha

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixed inputs and targets.

        Args:
            inputs: Float [B, ...].
            targets: Classes, int64 [B], which become probabilities [B, outputs]; or floats
                [B, ...].

        Raises:
            DataError: The inputs are no floats, or are several.
        """
        inputs = single(inputs, "transform: Mixup")
        if not inputs.is_floating_point():
            raise DataError(f"transform: Mixup needs floats, not {inputs.dtype}: use Scale")

        weight = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        partner = torch.randperm(len(inputs), device=inputs.device)
        soft = targets
        if not targets.is_floating_point():
            soft = F.one_hot(targets, self.outputs).to(inputs.dtype)

        mixed = weight * inputs + (1 - weight) * inputs[partner]
        return mixed, weight * soft + (1 - weight) * soft[partner]
