"""Experience replay."""

from torch import Tensor, nn

from renate.checks.bounds import at_least_1
from renate.data.batch import Batch
from renate.updaters.base import Updater
from renate.updaters.shared.replay import with_past


class ER(Updater):
    """Learn each new batch together with a batch of past examples.

    Chaudhry et al., 2019, https://arxiv.org/abs/1902.10486, algorithm 1: one forward of both, one
    mean loss.

    Args:
        replay_batch_size: Past examples in each step, besides the new ones.
    """

    replays = True
    weighs = True
    multi_head = True
    generates = True

    def __init__(self, replay_batch_size: int) -> None:
        super().__init__()
        at_least_1(replay_batch_size=replay_batch_size)
        self.replay_batch_size = replay_batch_size

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion, a scalar, of the batch and of past examples, if there are any, as
        one batch; then offer the new ones to the memory.
        """
        inputs, targets, weights = with_past(self.memory, batch, self.replay_batch_size)
        loss = self.mean_loss(model(inputs), targets, weights)
        self.memory.add(batch)

        return loss
