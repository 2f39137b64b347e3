"""A batch together with past examples."""

import torch
from torch import Tensor

from renate.data.batch import Batch
from renate.data.model_inputs import ModelInputs, join
from renate.memory.store.memory import Memory


def with_past(
    memory: Memory, batch: Batch, count: int
) -> tuple[ModelInputs, Tensor, Tensor | None]:
    """Return the inputs, targets and weights of a batch and of past examples behind it.

    Args:
        memory: Where past examples are drawn, if it has any.
        batch: New examples.
        count: Past examples to draw; 0 draws none.
    """
    if not count or not len(memory):
        return batch.inputs, batch.targets, batch.weights

    return together(batch, memory.sample(count))


def weights_from(past: Batch, first: int) -> Tensor | None:
    """Return the weights of past examples from one on, where they have any."""
    if past.weights is None:
        return None
    return past.weights[first:]


def together(batch: Batch, past: Batch) -> tuple[ModelInputs, Tensor, Tensor | None]:
    """Return the inputs, targets and weights of two batches as of one, the first one's before."""
    weights = batch.weights
    if weights is not None and past.weights is not None:
        weights = torch.cat([weights, past.weights])

    return join(batch.inputs, past.inputs), torch.cat([batch.targets, past.targets]), weights
