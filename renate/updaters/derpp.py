"""Dark experience replay++."""

import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.data.model_inputs import divide
from renate.updaters.base import Updater


class DERpp(Updater):
    """Stay close to the logits that past examples had, and keep predicting their targets.

    Buzzega et al., 2020, https://arxiv.org/abs/2004.07211, eq. 6. Logits are stored as seen when
    the example came.

    Args:
        alpha: Weight of staying close to the stored logits.
        beta: Weight of still predicting the stored targets.
        replay_batch_size: Past examples drawn for each of the two terms.
    """

    fields = ("logits",)

    def __init__(self, alpha: float, beta: float, replay_batch_size: int) -> None:
        super().__init__()
        if alpha < 0 or beta < 0:
            raise ValueError(f"alpha={alpha}, beta={beta}: expected 0 or more")
        if replay_batch_size < 1:
            raise ValueError(f"replay_batch_size={replay_batch_size}: expected 1 or more")

        self.alpha = alpha
        self.beta = beta
        self.replay_batch_size = replay_batch_size
        self.widths_differ = False

    def backfill(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loaded model's `logits` of past examples, float32 [B, K]."""
        return {"logits": self.predict(model, batch.inputs).float()}

    def grow(self, model: nn.Module, before: dict[str, Tensor]) -> None:
        """Carry the updater's own state over, and widen the stored logits by NaN for the outputs
        that are new.

        Raises:
            StateError: See `Updater.grow`.
        """
        super().grow(model, before)
        if len(self.memory):  # NaN: the head had no such output when the example came
            self.memory.widen("logits", self.problem.outputs, float("nan"))

    def start(self, model: nn.Module, data: Columns) -> None:
        """Look whether some stored logits have NaN in place of outputs that came later; the new
        data is what is trained on.
        """
        kept = self.memory.columns().get("logits")
        self.widths_differ = kept is not None and bool(kept.isnan().any())

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, plus both terms on past examples where there are any,
        a scalar; then offer the batch and its logits to the memory.
        """
        logits = model(batch.inputs)
        loss: Tensor = self.criterion(logits, batch.targets)
        if len(self.memory):
            # Two independent draws, fetched together: one for both would tie the terms to the same
            # examples.
            past = self.memory.sample(2 * self.replay_batch_size)
            inputs, others = divide(past.inputs, self.replay_batch_size)
            loss = loss + self.alpha * self._distance(
                model(inputs), past.logits[: self.replay_batch_size]
            )
            loss = loss + self.beta * self.criterion(
                model(others), past.targets[self.replay_batch_size :]
            )

        self.memory.add(batch, logits=logits.detach())
        return loss

    def _distance(self, now: Tensor, then: Tensor) -> Tensor:
        # Logits of before the head grew are compared on the width that they had
        if self.widths_differ:
            known = ~then.isnan()
            now = now[known]
            then = then[known]
        return F.mse_loss(now, then)
