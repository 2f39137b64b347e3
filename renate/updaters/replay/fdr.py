"""Function distance regularization."""

import torch
from torch import Tensor, nn

from renate.checks.bounds import at_least_0, at_least_1
from renate.data.batch import Batch, Columns
from renate.updaters.shared.logits import KeepsLogits, logits_of

NEVER = float("-inf")


class FDR(KeepsLogits):
    """Stay close to the probabilities that past examples had at the end of their update.

    Benjamin et al., 2019, https://arxiv.org/abs/1805.08289, eq. 4, with the distance between
    softmax outputs. The memory is offered the new data once, after the fit.

    Args:
        alpha: Weight of staying close.
        replay_batch_size: Past examples in each step, besides the new ones.
    """

    weighs = True
    problems = ("classification",)

    def __init__(self, alpha: float, replay_batch_size: int) -> None:
        super().__init__()
        at_least_0(alpha=alpha)
        at_least_1(replay_batch_size=replay_batch_size)

        self.alpha = alpha
        self.replay_batch_size = replay_batch_size

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, plus the mean distance between the probabilities that
        past examples have and had, where there are any, a scalar.
        """
        loss = self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
        if len(self.memory):
            past = self.memory.sample(self.replay_batch_size)
            loss = loss + self.alpha * self.distance(model(past.inputs), past.logits)

        return loss

    def distance(self, now: Tensor, then: Tensor) -> Tensor:
        """Return the mean Euclidean distance of the softmax of logits [B, K] now and then, a
        scalar, over the outputs that there were then.
        """
        unknown = then.isnan()
        before = then.masked_fill(unknown, NEVER).softmax(1)
        after = now.masked_fill(unknown, NEVER).softmax(1)
        distances: Tensor = torch.linalg.vector_norm(after - before, dim=1)
        return distances.mean()

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Offer the new data to the memory, once, with the logits that they have now."""
        self.memory.add_columns(data | {"logits": logits_of(self, model, data)})
