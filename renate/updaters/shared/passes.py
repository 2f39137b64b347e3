"""One pass over examples, to see what a model makes of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.data.items.served import in_order
from renate.updaters.base import Updater

ROWS = 1000  # of a batch


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let a model compute in evaluation mode and without gradients; then it is as it was."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


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

    with evaluating(model):
        return torch.cat([compute(transform(part)).cpu() for part in in_order(columns, ROWS)])
