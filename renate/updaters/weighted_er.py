"""Experience replay with the weights of Renate 0.5."""

from torch import Tensor, nn

from renate.data.batch import Batch
from renate.data.model_inputs import join
from renate.updaters.shared.weights import Weighted, replay_count


class WeightedER(Weighted):
    """Learn each new batch together with a batch of past examples, each with a weight.

    Args:
        alpha: Weight of past examples.
        loss_weight: See `Weighted`.
        loss_normalization: See `Weighted`.
        replay_batch_size: See `Weighted`.
    """

    weighs = True

    def __init__(
        self,
        alpha: float,
        loss_weight: float,
        loss_normalization: int,
        replay_batch_size: float,
    ) -> None:
        super().__init__(loss_weight, loss_normalization, replay_batch_size)
        self.check_weights(alpha=alpha)
        self.alpha = alpha

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted mean, a scalar, of the criterion on the batch and on past examples,
        if there are any; then offer the new ones to the memory.
        """
        if not len(self.memory):
            new = self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
            loss = self.total(new, [])
        else:
            past = self.memory.sample(replay_count(self.replay_batch_size, batch))
            # One pass of both: what normalises over the batch sees both
            outputs = model(join(batch.inputs, past.inputs))
            new = self.mean_loss(outputs[: len(batch)], batch.targets, batch.weights)
            old = self.mean_loss(outputs[len(batch) :], past.targets, past.weights)
            loss = self.total(new, [(self.alpha, old)])

        self.memory.add(batch)
        return loss
