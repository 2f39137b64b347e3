"""Dark experience replay++ with the weights of Renate 0.5."""

from torch import Tensor, nn

from renate.data.batch import Batch
from renate.data.model_inputs import divide
from renate.updaters.shared.logits import KeepsLogits
from renate.updaters.shared.replay import weights_from
from renate.updaters.shared.weights import Weighted, replay_count


class WeightedDERpp(KeepsLogits, Weighted):
    """DER++, its loss divided by the sum of its weights.

    Args:
        alpha: Weight of staying close to the logits that past examples had.
        beta: Weight of still predicting their targets.
        loss_weight: See `Weighted`.
        loss_normalization: See `Weighted`.
        replay_batch_size: See `Weighted`; for each of two independent draws.
    """

    weighs = True

    def __init__(
        self,
        alpha: float,
        beta: float,
        loss_weight: float,
        loss_normalization: int,
        replay_batch_size: float,
    ) -> None:
        super().__init__(loss_weight, loss_normalization, replay_batch_size)
        self.check_weights(alpha=alpha, beta=beta)
        self.alpha = alpha
        self.beta = beta

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted sum, a scalar, of the criterion of the batch and of both terms on
        past examples, if there are any; then offer the batch and its logits to the memory.
        """
        logits = model(batch.inputs)
        new = self.mean_loss(logits, batch.targets, batch.weights)
        terms: list[tuple[float, Tensor]] = []
        if len(self.memory):
            count = replay_count(self.replay_batch_size, batch)
            past = self.memory.sample(2 * count)
            inputs, others = divide(past.inputs, count)
            weights = weights_from(past, count)
            terms = [
                (self.alpha, self.distance(model(inputs), past.logits[:count])),
                (self.beta, self.mean_loss(model(others), past.targets[count:], weights)),
            ]

        self.memory.add(batch, logits=logits.detach())
        return self.total(new, terms)
