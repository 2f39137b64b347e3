"""Memory aware synapses."""

import torch
from torch import nn

from renate.checks.bounds import at_least_0, at_least_1
from renate.data.batch import Columns
from renate.updaters.regularization.anchors import HoldsWeights
from renate.updaters.regularization.importance import mean_over_examples


class MAS(HoldsWeights):
    """Hold each weight where it was, the more the outputs depend on it; no memory, no targets.

    Aljundi et al., 2018, https://arxiv.org/abs/1711.09601: the loss is the criterion plus
    strength · Σ Ω (weight - anchor)² (eq. 4), where Ω is the mean over the examples of
    |∂ ‖outputs‖² / ∂ weight| (eq. 2 and 5), summed over the updates.

    Args:
        strength: Of the penalty, 0 or more.
        importance_batch_size: Examples whose gradients are taken at once, as many times the weights
            are in memory then; where all layers are linear neither holds.
    """

    def __init__(self, strength: float, importance_batch_size: int) -> None:
        super().__init__(strength)
        at_least_0(strength=strength)
        at_least_1(importance_batch_size=importance_batch_size)
        self.importance_batch_size = importance_batch_size

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Add what the outputs for the new data depend on, and drop anchor here."""
        found = mean_over_examples(
            self,
            model,
            data,
            lambda outputs, target: outputs.square().sum(),
            torch.abs,
            torch.ones_like,
            self.importance_batch_size,
        )
        self.anchors.move(model, found, keep=1.0)
