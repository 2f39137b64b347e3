"""The mean of a loss over examples that have weights."""

from copy import copy

import torch
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.losses.focal import Focal

# Whose own weights of classes divide their mean too, as torch has it
OF_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss, Focal)


def lacks_reduction(criterion: nn.Module) -> str:
    """Say that a criterion gives nothing but its mean."""
    return (
        f"{type(criterion).__name__} gives no loss of each example: take one with loss.reduction, "
        "as torch's have"
    )


def divisor(criterion: nn.Module, targets: Tensor, terms: int) -> Tensor | int:
    """What a criterion's mean of these targets was divided by: its terms, or their weights' sum."""
    of_classes = getattr(criterion, "weight", None)
    if isinstance(criterion, OF_CLASSES) and of_classes is not None:
        ignored = getattr(criterion, "ignore_index", None)
        total: Tensor = of_classes[targets[targets != ignored]].sum()
        return total

    return terms


def example_losses(criterion: nn.Module, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each example, [B]: the mean over what it has of them.

    Args:
        criterion: A loss whose `reduction` is the mean, as torch's have it.
        outputs: [B, K].
        targets: As the criterion takes them.

    Raises:
        ConfigError: The criterion gives no loss of each example.
    """
    if getattr(criterion, "reduction", None) != "mean":
        raise ConfigError(f"loss: {lacks_reduction(criterion)}")

    single = copy(criterion)
    single.reduction = "none"  # type: ignore[assignment]
    losses: Tensor = single(outputs, targets)
    if losses.ndim > 1:
        losses = losses.flatten(1).mean(1)

    return losses


def weighted_mean(
    criterion: nn.Module, outputs: Tensor, targets: Tensor, weights: Tensor
) -> Tensor:
    """Return Σ w l / Σ w, a scalar; where the criterion weighs classes by c, Σ w c l / Σ w c.

    With equal weights it is the criterion's own mean. Where all are 0 it is 0.

    Args:
        criterion: A loss with a `reduction`, as torch's have.
        outputs: [B, K].
        targets: As the criterion takes them.
        weights: Of each example, 0 or more, [B].

    Raises:
        ConfigError: The criterion gives no loss of each example.
    """
    if getattr(criterion, "reduction", None) != "mean":
        raise ConfigError(f"data.weight: {lacks_reduction(criterion)}")

    losses = example_losses(criterion, outputs, targets)
    total = weights
    of_classes = getattr(criterion, "weight", None)
    if isinstance(criterion, OF_CLASSES) and of_classes is not None:
        total = weights * of_classes[targets]

    return (weights * losses).sum() / total.sum().clamp(min=torch.finfo(losses.dtype).tiny)
