"""Experience replay with a memory that is filled at the end of an update."""

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns, length
from renate.updaters.base import Updater
from renate.updaters.shared.weights import check_count, replay_count


class OfflineER(Updater):
    """Learn each new batch together with a batch of earlier updates' examples.

    The loss is a convex combination of both, as Renate 0.5 has it. The memory is offered the new
    data once, after the fit, so that an update replays what is older than itself.

    Args:
        loss_weight_new_data: Of the loss on new data, 0 to 1; that on past examples has the rest.
            None takes the new data's share of all that was ever trained on, N_t / (N_1 + … + N_t).
        replay_batch_size: Past examples in each step: a number, or below 1 a fraction of the batch.
    """

    seen: Tensor
    replays = True
    weighs = True

    def __init__(self, loss_weight_new_data: float | None, replay_batch_size: float) -> None:
        super().__init__()
        if loss_weight_new_data is not None and not 0 <= loss_weight_new_data <= 1:
            raise ValueError(
                f"loss_weight_new_data={loss_weight_new_data}: expected 0 to 1, or null for the "
                "new data's share of all"
            )
        check_count(replay_batch_size)

        self.loss_weight_new_data = loss_weight_new_data
        self.replay_batch_size = replay_batch_size
        self.weight = 1.0
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def start(self, model: nn.Module, data: Columns) -> None:
        """Take the weight of the new data, which are what is trained on."""
        if self.loss_weight_new_data is not None:
            self.weight = self.loss_weight_new_data
            return

        new = length(data) * self.memory.ranks
        # Another updater may have filled the memory, and counted nothing
        past = max(int(self.seen), len(self.memory) * self.memory.ranks)
        self.weight = new / (new + past)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted mean, a scalar, of the criterion on the batch and on past examples;
        that on the batch where there are none.
        """
        loss = self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
        if not len(self.memory):
            return loss

        past = self.memory.sample(replay_count(self.replay_batch_size, batch))
        replayed = self.mean_loss(model(past.inputs), past.targets, past.weights)

        return self.weight * loss + (1 - self.weight) * replayed

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Offer the new data to the memory, once, and count them."""
        self.memory.add_columns(data)
        self.seen += length(data) * self.memory.ranks
