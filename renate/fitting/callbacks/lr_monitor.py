"""The learning rate, among what is reported."""

from typing import Any

import pytorch_lightning as pl

from renate.fitting.callbacks.base import MeasuringCallback


class LRMonitor(MeasuringCallback):
    """Reports `lr`, the learning rate of the last step; of several groups of parameters `lr/0`,
    `lr/1` and so on.
    """

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Listen to the optimizer."""
        trainer.optimizers[0].register_step_post_hook(self._note)

    def _note(self, optimizer: Any, *_: Any) -> None:
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]

    def measured(self, trainer: pl.Trainer) -> dict[str, float]:
        """Return the learning rate of each group."""
        if len(self.rates) == 1:
            return {"lr": self.rates[0]}
        return {f"lr/{number}": rate for number, rate in enumerate(self.rates)}
