"""Averaged gradient episodic memory."""

import torch
from torch import Tensor, nn

from renate.checks.bounds import at_least_1
from renate.data.batch import Batch, Columns
from renate.updaters.base import Updater
from renate.updaters.replay.gradients import gradient_at_hand, gradient_of, set_gradient


class AGEM(Updater):
    """Take from each step what would raise the mean loss of past examples.

    Chaudhry et al., 2019, https://arxiv.org/abs/1812.00420, eq. 11. The memory is offered the new
    data once, after the fit, so that an update is held to what is older than itself.

    Args:
        replay_batch_size: Past examples whose mean gradient a step may not go against.
    """

    replays = True
    weighs = True
    multi_head = True

    def __init__(self, replay_batch_size: int) -> None:
        super().__init__()
        at_least_1(replay_batch_size=replay_batch_size)
        self.replay_batch_size = replay_batch_size

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, a scalar."""
        return self.mean_loss(model(batch.inputs), batch.targets, batch.weights)

    def after_backward(self, model: nn.Module) -> None:
        """Project the gradient g to g - g·r / r·r r, r being that of past examples, where g·r is
        negative.
        """
        if not len(self.memory):
            return

        past = self.memory.sample(self.replay_batch_size)
        loss = self.mean_loss(model(past.inputs), past.targets, past.weights)
        reference = gradient_of(loss, model, processes=self.memory.ranks)
        gradient = gradient_at_hand(model)

        # Without asking whether it is negative, for which a GPU's answer would be waited for
        against = torch.dot(gradient, reference).clamp(max=0)
        squared = torch.dot(reference, reference)
        squared = squared.clamp(min=torch.finfo(squared.dtype).tiny)
        set_gradient(model, gradient - against / squared * reference)

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Offer the new data to the memory, once."""
        self.memory.add_columns(data)
