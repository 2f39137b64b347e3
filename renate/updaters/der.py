"""Dark experience replay."""

from torch import Tensor, nn

from renate.checks.bounds import at_least_0, at_least_1
from renate.data.batch import Batch
from renate.updaters.shared.logits import KeepsLogits


class DER(KeepsLogits):
    """Stay close to the logits that past examples had.

    Buzzega et al., 2020, https://arxiv.org/abs/2004.07211, eq. 5. Logits are stored as seen when
    the example came.

    Args:
        alpha: Weight of staying close to the stored logits.
        replay_batch_size: Past examples in each step, besides the new ones.
    """

    weighs = True

    def __init__(self, alpha: float, replay_batch_size: int) -> None:
        super().__init__()
        at_least_0(alpha=alpha)
        at_least_1(replay_batch_size=replay_batch_size)

        self.alpha = alpha
        self.replay_batch_size = replay_batch_size

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, plus the distance of past examples' logits from those
        that they had, where there are any, a scalar; then offer the batch and its logits to the
        memory.
        """
        logits = model(batch.inputs)
        loss = self.mean_loss(logits, batch.targets, batch.weights)
        if len(self.memory):
            past = self.memory.sample(self.replay_batch_size)
            loss = loss + self.alpha * self.distance(model(past.inputs), past.logits)

        self.memory.add(batch, logits=logits.detach())
        return loss
