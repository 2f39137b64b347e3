"""The focal loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Focal(nn.Module):
    """Cross-entropy in which examples that are predicted well count less.

    Lin et al., 2017, https://arxiv.org/abs/1708.02002, eq. 4 and 5: -α (1 - p)^γ log p, with p the
    probability of what is true. Of one class an example the probabilities are a softmax's, of
    several labels a sigmoid's for each. With gamma=0 it is the cross-entropy.

    Args:
        gamma: How much less: 0 or more.
        alpha: Of several labels: the weight of those that an example has, 0 to 1; those that it
            has not weigh 1 - alpha. None weighs both alike.
        weight: Of classes: the weight of each, [K]; the mean is divided by them, as torch's
            cross-entropy does. None weighs all alike.
    """

    weight: Tensor | None

    def __init__(
        self, gamma: float, alpha: float | None = None, weight: Tensor | None = None
    ) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma={gamma}: expected 0 or more")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"alpha={alpha}: expected 0 to 1")

        self.gamma = gamma
        self.alpha = alpha
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean, a scalar.

        Args:
            logits: [B, K].
            targets: int64 [B], the class of each; or flags [B, K] of floats, the labels of each.

        Raises:
            ValueError: `alpha` is given for classes, or `weight` for labels.
        """
        if targets.is_floating_point():
            return self._of_labels(logits, targets)
        return self._of_classes(logits, targets)

    def _of_classes(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.alpha is not None:
            raise ValueError("alpha is of several labels; classes have a weight each, weight=[…]")

        surprise = F.cross_entropy(logits, targets, reduction="none")
        loss = self._modulated(surprise)
        if self.weight is None:
            return loss.mean()

        weights = self.weight[targets]
        return (weights * loss).sum() / weights.sum()

    def _of_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.weight is not None:
            raise ValueError("weight is of classes; several labels have alpha")

        surprise = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        loss = self._modulated(surprise)
        if self.alpha is not None:
            loss = loss * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        return loss.mean()

    def _modulated(self, surprise: Tensor) -> Tensor:
        """(1 - p)^γ times -log p, which is given."""
        missing = -torch.expm1(-surprise)
        # Where p is 1, a power below 1 would have an infinite slope
        missing = missing.clamp(min=torch.finfo(missing.dtype).tiny)
        return missing**self.gamma * surprise
