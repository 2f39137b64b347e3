"""Replay by pooled output distillation."""

from collections.abc import Sequence

from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.updaters.distillation.pooled_features import FIELD, PooledFeatures, check_pooling
from renate.updaters.shared.weights import Weighted, replay_count


class PODER(Weighted):
    """Keep, of past examples, the features that modules of the model gave when they came.

    Douillard et al., 2020, https://arxiv.org/abs/2004.13513, eq. 1 to 5, on examples of a memory
    instead of new ones, as Renate 0.5 has it: past examples' targets play no part. The memory
    keeps the pooled features, not the maps.

    Args:
        alpha: Weight of staying close to the features.
        modules: Names of the modules, as `model.named_modules` has them; None takes the network's
            parts that have weights, but for its head.
        pooling: pixel, channel, width, height, gap or spatial, see `pooled`.
        normalize: Whether features are divided by their length before they are compared.
        loss_weight: See `Weighted`.
        loss_normalization: See `Weighted`.
        replay_batch_size: See `Weighted`.
    """

    fields = (FIELD,)
    of_memory = ("features.kept_as",)
    weighs = True

    def __init__(
        self,
        alpha: float,
        modules: Sequence[str] | None,
        pooling: str,
        normalize: bool,
        loss_weight: float,
        loss_normalization: int,
        replay_batch_size: float,
    ) -> None:
        super().__init__(loss_weight, loss_normalization, replay_batch_size)
        self.check_weights(alpha=alpha)
        check_pooling(pooling)
        self.alpha = alpha
        self.tapped = modules
        self.pooling = pooling
        self.normalize = normalize

    def setup(self, model: nn.Module) -> None:
        """Tap the modules."""
        self.features = PooledFeatures(model, self.tapped, self.pooling, self.normalize)

    def backfill(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loaded model's `features` of past examples, float32 [B, D]."""
        _, features = self.features(model, batch.inputs)
        return {FIELD: self.features.backfilled(self.memory, features)}

    def start(self, model: nn.Module, data: Columns) -> None:
        """Look whether the memory's features are of these modules; the new data is what is trained
        on.
        """
        self.features.check(self.memory)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted sum, a scalar, of the criterion of the batch and of how far past
        examples' features are from what they were, if there are any; then offer the batch and its
        features to the memory.
        """
        outputs, features = self.features(model, batch.inputs)
        new = self.mean_loss(outputs, batch.targets, batch.weights)
        terms: list[tuple[float, Tensor]] = []
        if len(self.memory):
            past = self.memory.sample(replay_count(self.replay_batch_size, batch))
            _, now = self.features(model, past.inputs)
            terms = [(self.alpha, self.features.distance(now, past.features))]

        self.memory.add(batch, features=self.features.kept(features))
        return self.total(new, terms)
