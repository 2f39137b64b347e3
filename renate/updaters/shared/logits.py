"""Logits of past examples, kept beside them."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.updaters.base import Updater
from renate.updaters.shared.passes import seen_as


def logits_of(updater: Updater, model: nn.Module, columns: Columns) -> Tensor:
    """Return a model's logits for examples as they are measured, float32 [N, K] on the CPU; see
    `seen_as`.
    """
    return seen_as(updater, model, columns, lambda batch: model(batch.inputs).float())


class KeepsLogits(Updater):
    """An updater that compares its outputs with those of before, as DER and its kin do.

    Logits are stored as seen when the example came. A subclass offers them with each batch.
    """

    fields: ClassVar[tuple[str, ...]] = ("logits",)
    replays = True
    widths_differ = False

    def backfill(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loaded model's `logits` of past examples, float32 [B, K]."""
        return {"logits": self.predict(model, batch.inputs).float()}

    def start(self, model: nn.Module, data: Columns) -> Columns | None:
        """Widen the stored logits by NaN for outputs that came later, be it in an update of
        another updater, and look whether some have any; the new data is what is trained on.
        """
        if len(self.memory):  # NaN: the head had no such output when the example came
            self.memory.widen("logits", self.problem.outputs, float("nan"))

        kept = self.memory.columns().get("logits")
        self.widths_differ = kept is not None and bool(kept.isnan().any())
        return None

    def distance(self, now: Tensor, then: Tensor) -> Tensor:
        """Return the mean square of what outputs [B, K] differ by now and then, a scalar."""
        # Logits of before the head grew are compared on the width that they had
        if self.widths_differ:
            known = ~then.isnan()
            now = now[known]
            then = then[known]
        return F.mse_loss(now, then)
