"""Dark experience replay++."""

import math

from torch import Tensor, nn

from renate.checks.bounds import at_least_1
from renate.data.batch import Batch
from renate.data.model_inputs import divide
from renate.updaters.shared.logits import KeepsLogits
from renate.updaters.shared.replay import weights_from


class DERpp(KeepsLogits):
    """Stay close to the logits that past examples had, and keep predicting their targets.

    Buzzega et al., 2020, https://arxiv.org/abs/2004.07211, eq. 6. Logits are stored as seen when
    the example came.

    Args:
        alpha: Weight of staying close to the stored logits.
        beta: Weight of still predicting the stored targets.
        replay_batch_size: Past examples drawn for each of the two terms.
    """

    weighs = True

    def __init__(self, alpha: float, beta: float, replay_batch_size: int) -> None:
        super().__init__()
        if not (0 <= alpha < math.inf and 0 <= beta < math.inf):
            raise ValueError(f"alpha={alpha}, beta={beta}: expected 0 or more")
        at_least_1(replay_batch_size=replay_batch_size)

        self.alpha = alpha
        self.beta = beta
        self.replay_batch_size = replay_batch_size

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, plus both terms on past examples where there are any,
        a scalar; then offer the batch and its logits to the memory.
        """
        logits = model(batch.inputs)
        loss = self.mean_loss(logits, batch.targets, batch.weights)
        if len(self.memory):
            # Two independent draws, fetched together: one for both would tie the terms to the same
            # examples.
            past = self.memory.sample(2 * self.replay_batch_size)
            size = self.replay_batch_size
            inputs, others = divide(past.inputs, size)
            loss = loss + self.alpha * self.distance(model(inputs), past.logits[:size])
            weights = weights_from(past, size)
            replayed = self.mean_loss(model(others), past.targets[size:], weights)
            loss = loss + self.beta * replayed

        self.memory.add(batch, logits=logits.detach())
        return loss
