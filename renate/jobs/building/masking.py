"""Classes that no example had yet, which the loss leaves out: `trainer.mask_unused_classes`."""

from typing import Any

import torch
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.losses.masked import check_masking
from renate.updaters.base import Updater

SEEN = "seen_classes"  # the tensor of an updater's state, bool [K], that says which it had


def begin_masking(updater: Updater) -> None:
    """Let an updater's criterion leave out the outputs of classes that no example had yet.

    It alone: what updaters keep of outputs, and what is measured and predicted, has all of them.

    Args:
        updater: Has its criterion and problem, and is not loaded yet.

    Raises:
        ConfigError: What is predicted isn't one of several classes, or the loss is none among some
            of them.
    """
    if not updater.problem.classes:
        raise ConfigError(
            "trainer.mask_unused_classes=true is about classes, "
            f"problem={updater.problem.name} has none"
        )
    check_masking(updater.criterion, updater.problem.outputs, "trainer.mask_unused_classes=true")

    updater.register_buffer(SEEN, torch.zeros(updater.problem.outputs, dtype=torch.bool))

    def without_unused(criterion: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        outputs, *others = arguments
        return (masked(outputs, updater.get_buffer(SEEN)), *others)

    updater.criterion.register_forward_pre_hook(without_unused)


def masked(outputs: Tensor, seen: Tensor) -> Tensor:
    """Return logits [..., K] that are as small as their type has them, where `seen` [K] is false:
    no probability is theirs, and no gradient.
    """
    # Not infinity: that times a target's 0, as of mixed examples, would be no number
    return outputs.masked_fill(~seen.to(outputs.device), torch.finfo(outputs.dtype).min)


def note_classes(updater: Updater, targets: Tensor) -> None:
    """Note the classes of new examples, int64 [N], if some are masked."""
    seen = dict(updater.named_buffers()).get(SEEN)
    if seen is not None:
        seen[torch.unique(targets).to(seen.device)] = True


def carry_over(updater: Updater, before: dict[str, Tensor], known: int) -> None:
    """Add to a state what it lacks of this, or take away what is of no use now.

    Args:
        updater: Which the state is loaded into.
        before: An updater's state. Changed in place.
        known: How many classes the version knows; without masking it has trained the outputs of
            all.
    """
    if SEEN not in dict(updater.named_buffers()):
        before.pop(SEEN, None)
    elif SEEN not in before:
        before[SEEN] = torch.ones(known, dtype=torch.bool)
