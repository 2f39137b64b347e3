"""The focal loss, of classes and of several labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Focal(nn.Module):
    """Cross-entropy in which examples that are predicted well count less.

    Lin et al., 2017, https://arxiv.org/abs/1708.02002, eq. 4: -(1 - p)^γ log p, with p the
    probability of the example's class. With gamma=0 it is the cross-entropy.

    Args:
        gamma: How much less: 0 or more.
        weight: Of each class, [K]; the mean is divided by them, as torch's cross-entropy does. None
            weighs all alike.

    Attributes:
        reduction: `mean`; `none` gives the loss of each example, [B].
    """

    weight: Tensor | None

    def __init__(self, gamma: float, weight: Tensor | None = None) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma={gamma}: expected 0 or more")

        self.gamma = gamma
        self.reduction = "mean"
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean, a scalar; see `reduction`.

        Args:
            logits: [B, K].
            targets: int64 [B], the class of each.

        Raises:
            ValueError: Targets are no classes.
        """
        if targets.is_floating_point():
            raise ValueError("it takes one class an example, neither mixed ones nor several labels")

        surprise = F.cross_entropy(logits, targets, reduction="none")
        loss = modulated(surprise, self.gamma)
        weights = torch.ones_like(loss)
        if self.weight is not None:
            weights = self.weight[targets]

        loss = weights * loss
        if self.reduction == "none":
            return loss
        return loss.sum() / weights.sum()


class BinaryFocal(nn.Module):
    """Binary cross-entropy of several labels in which those that are predicted well count less.

    Lin et al., 2017, https://arxiv.org/abs/1708.02002, eq. 5: -α (1 - p)^γ log p of each label of
    each example, with p the probability of what is true of it.

    Args:
        gamma: How much less: 0 or more.
        alpha: The weight of labels that an example has, 0 to 1; those that it has not weigh
            1 - alpha. None weighs both alike.

    Attributes:
        reduction: `mean`; `none` gives the loss of each label of each example, [B, K].
    """

    def __init__(self, gamma: float, alpha: float | None = None) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma={gamma}: expected 0 or more")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"alpha={alpha}: expected 0 to 1")

        self.gamma = gamma
        self.alpha = alpha
        self.reduction = "mean"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over labels and examples, a scalar; see `reduction`.

        Args:
            logits: [B, K].
            targets: float [B, K], 1 where an example has a label.
        """
        surprise = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        loss = modulated(surprise, self.gamma)
        if self.alpha is not None:
            loss = loss * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        if self.reduction == "none":
            return loss
        return loss.mean()


def modulated(surprise: Tensor, gamma: float) -> Tensor:
    """Return (1 - p)^γ times -log p, which is given."""
    missing = -torch.expm1(-surprise)
    # Where p is 1, a power below 1 would have an infinite slope
    missing = missing.clamp(min=torch.finfo(missing.dtype).tiny)
    return missing**gamma * surprise
