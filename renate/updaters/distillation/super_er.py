"""All of Renate's kinds of replay at once."""

from typing import Any

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.updaters.distillation.pooled_features import FIELD, PooledFeatures
from renate.updaters.distillation.shrink import Shrinking, shrink_and_perturb
from renate.updaters.distillation.terms import CLSTerm, DERTerms, PODTerm, made_of
from renate.updaters.shared.averages import AveragedCopy
from renate.updaters.shared.distillation import better_of
from renate.updaters.shared.logits import KeepsLogits
from renate.updaters.shared.weights import Weighted, replay_count


class SuperER(KeepsLogits, Weighted):
    """DER++, POD-ER and CLS-ER in one loss, on one draw of past examples, from weights that are
    shrunk and perturbed at each update but the first.

    As Renate 0.5 has it; the terms' papers are those of derpp, pod_er and cls_er, unlike which it
    predicts by the model itself.

    Args:
        der: `alpha` and `beta`, see `DERTerms`.
        pod: `alpha`, `modules`, `pooling` and `normalize`, see `PODTerm`.
        cls: `alpha`, decays and frequencies, see `CLSTerm`.
        shrink: `factor` and `sigma`, see `Shrinking`.
        loss_weight: See `Weighted`.
        loss_normalization: See `Weighted`.
        replay_batch_size: See `Weighted`; one draw for all terms.
    """

    fields = ("logits", FIELD)
    of_memory = ("features.kept_as",)
    weighs = True

    def __init__(
        self,
        der: dict[str, Any],
        pod: dict[str, Any],
        cls: dict[str, Any],
        shrink: dict[str, Any],
        loss_weight: float,
        loss_normalization: int,
        replay_batch_size: float,
    ) -> None:
        super().__init__(loss_weight, loss_normalization, replay_batch_size)
        self.der = made_of(DERTerms, der, "der")
        self.pod = made_of(PODTerm, pod, "pod")
        self.cls = made_of(CLSTerm, cls, "cls")
        self.shrink = made_of(Shrinking, shrink, "shrink")
        weights = {"der.alpha": self.der.alpha, "der.beta": self.der.beta}
        self.check_weights(**weights, **{"pod.alpha": self.pod.alpha, "cls.alpha": self.cls.alpha})

    def setup(self, model: nn.Module) -> None:
        """Tap the modules, and make both copies."""
        pod = self.pod
        self.features = PooledFeatures(model, pod.modules, pod.pooling, pod.normalize)
        self.stable = AveragedCopy(model, self.cls.stable_decay, self.cls.stable_frequency)
        self.plastic = AveragedCopy(model, self.cls.plastic_decay, self.cls.plastic_frequency)

    def backfill(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loaded model's `logits` and `features` of past examples, float32."""
        outputs, features = self.features(model, batch.inputs)
        kept = self.features.backfilled(self.memory, features)
        return {"logits": outputs.float(), FIELD: kept}

    def start(self, model: nn.Module, data: Columns) -> None:
        """Check the memory's features, and shrink the weights where something was learned before;
        the new data is what is trained on.
        """
        super().start(model, data)
        self.features.check(self.memory)
        if len(self.memory):
            shrink_and_perturb(model, self.shrink)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted sum, a scalar, of the criterion of the batch and of all terms on past
        examples, if there are any; then offer the batch, its logits and features to the memory.
        """
        logits, features = self.features(model, batch.inputs)
        new = self.mean_loss(logits, batch.targets, batch.weights)
        terms: list[tuple[float, Tensor]] = []
        if len(self.memory):
            past = self.memory.sample(replay_count(self.replay_batch_size, batch))
            now, features_now = self.features(model, past.inputs)
            stable = self.stable(past.inputs)
            close = better_of(self.criterion, stable, self.plastic(past.inputs), past.targets)
            terms = [
                (self.der.alpha, self.distance(now, past.logits)),
                (self.der.beta, self.mean_loss(now, past.targets, past.weights)),
                (self.pod.alpha, self.features.distance(features_now, past.features)),
                (self.cls.alpha, nn.functional.mse_loss(now, close)),
            ]

        kept = self.features.kept(features)
        self.memory.add(batch, logits=logits.detach(), features=kept)
        return self.total(new, terms)

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Let both copies follow."""
        self.stable.follow(model)
        self.plastic.follow(model)
