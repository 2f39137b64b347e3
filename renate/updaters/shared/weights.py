"""A loss of several terms with a weight each, as Renate 0.5 had it."""

from torch import Tensor

from renate.checks.bounds import at_least_0
from renate.data.batch import Batch
from renate.updaters.base import Updater


def replay_count(replay_batch_size: float, batch: Batch) -> int:
    """How many past examples go with a batch: below 1 a fraction of it, but one at least."""
    if replay_batch_size >= 1:
        return int(replay_batch_size)
    return max(1, int(replay_batch_size * len(batch)))


def check_count(replay_batch_size: float) -> None:
    """Raises ValueError for what is neither a fraction nor a number of examples."""
    is_fraction = 0 < replay_batch_size < 1
    if not is_fraction and not (replay_batch_size >= 1 and float(replay_batch_size).is_integer()):
        raise ValueError(
            f"replay_batch_size={replay_batch_size}: expected a fraction between 0 and 1, or a "
            "number of examples"
        )


class Weighted(Updater):
    """An updater whose loss is a sum of weighted terms, divided by the weights if asked for.

    Args:
        loss_weight: Of new examples.
        loss_normalization: 1 divides the loss by the sum of all weights, 0 doesn't.
        replay_batch_size: Past examples of a draw: a number, or below 1 a fraction of the batch.
    """

    replays = True

    def __init__(
        self, loss_weight: float, loss_normalization: int, replay_batch_size: float
    ) -> None:
        super().__init__()
        at_least_0(loss_weight=loss_weight)
        if loss_normalization not in (0, 1):
            raise ValueError(f"loss_normalization={loss_normalization}: expected 0 or 1")
        check_count(replay_batch_size)

        self.loss_weight = loss_weight
        self.loss_normalization = loss_normalization
        self.replay_batch_size = replay_batch_size

    def total(self, new: Tensor, terms: list[tuple[float, Tensor]]) -> Tensor:
        """Return the weighted sum of the loss of new examples and of (weight, term) pairs."""
        loss = self.loss_weight * new
        weights = self.loss_weight
        for weight, term in terms:
            loss = loss + weight * term
            weights += weight

        if self.loss_normalization and terms:
            return loss / weights
        return loss

    def check_weights(self, **weights: float) -> None:
        """Raises ValueError for a weight that is negative or infinite, or where all are 0."""
        at_least_0(**weights)
        if self.loss_weight + sum(weights.values()) == 0:
            raise ValueError("all weights are 0: nothing would be learned")
