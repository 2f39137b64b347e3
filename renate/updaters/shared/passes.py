"""Examples as a whole: what a model makes of them, and two sets as one."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.data.items.served import in_order
from renate.data.ragged import Ragged, joined
from renate.errors import ConfigError
from renate.memory.store.memory import Memory
from renate.models.own.untouched import untouched
from renate.updaters.base import Updater

ROWS = 1000  # of a batch


def seen_as(
    updater: Updater, model: nn.Module, columns: Columns, compute: Callable[[Batch], Tensor]
) -> Tensor:
    """Return what is computed of each example, [N, ...] on the CPU, in the order of the rows.

    Args:
        updater: Its `test_transform` makes the batches, without what is random.
        model: In evaluation mode meanwhile, without gradients.
        columns: The examples, N of them.
        compute: Takes a batch, returns [B, ...].
    """
    transform = updater.test_transform or updater.memory.transform
    assert transform is not None, "the job binds it"

    with untouched(model):
        return torch.cat([compute(transform(part)).cpu() for part in in_order(columns, ROWS)])


def check_alone(memory: Memory, why: str) -> None:
    """Return if one process has the whole memory.

    Args:
        memory: The updater's.
        why: What the updater needs it for, for the message.

    Raises:
        ConfigError: There are several.
    """
    if memory.ranks > 1:
        raise ConfigError(
            f"{why}, and {memory.ranks} processes would each have their own share: "
            "trainer.devices=1"
        )


def both(first: Columns, second: Columns) -> Columns:
    """Return the rows of two sets of columns, those of the first before those of the second."""
    return {name: _column(column, second[name]) for name, column in first.items()}


def _column(first: Tensor | Ragged, second: Tensor | Ragged) -> Tensor | Ragged:
    if isinstance(first, Ragged):
        assert isinstance(second, Ragged)
        return joined([first, second])

    assert isinstance(second, Tensor)
    return torch.cat([first, second])
