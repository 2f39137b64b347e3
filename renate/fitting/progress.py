"""How far a fit is: one object that the learner, validation and checkpoints share."""

import math
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from renate.ranks import Ranks

COUNTERS = ("batches", "examples", "losses", "loss")  # what a checkpoint keeps of a progress


@dataclass
class Progress:
    """Counters of a fit, the mean of its losses, and its best epoch.

    The counters are no attributes of the learner, where they would pass through the slow
    `nn.Module.__setattr__` at each step.

    Attributes:
        update: Number of the update that the fit is part of.
        total: Optimizer steps of the whole fit.
        content: What its data hold, where the job's identity doesn't say it.
        epochs_before: Whole epochs of an interrupted fit, which this one continues.
        steps_before: Its optimizer steps.
        examples_before: Its `examples`.
        batches: Those trained on, in the interrupted fit as well; where gradients are accumulated,
            several make a step of the optimizer.
        examples: Their rows, replayed ones apart.
        losses: Batches since `mean_loss` was last taken.
        loss: Sum of their losses.
        best: The objective's best value; None as long as it had none.
        best_epoch: The epoch in which it had that, from 1 on.
        undefined: Whether the objective's last value was no number.
    """

    update: int = 1
    total: int = 0
    content: str | None = None
    epochs_before: int = 0
    steps_before: int = 0
    examples_before: int = 0
    batches: int = 0
    examples: int = 0
    losses: int = 0
    loss: Tensor | float = 0.0
    best: float | None = None
    best_epoch: int = 0
    undefined: bool = False

    def count(self, loss: Tensor, examples: int) -> None:
        """Take note of a batch; its loss stays on its device."""
        self.batches += 1
        self.losses += 1
        self.examples += examples
        if loss.element_size() < 4:
            loss = loss.float()  # a sum in 16 bits soon stands still
        self.loss += loss

    def mean_loss(self, ranks: Ranks) -> float:
        """Return the mean loss of all processes since the last call."""
        loss, losses = ranks.all_sum(float(self.loss), self.losses)
        self.loss = 0.0
        self.losses = 0
        return loss / max(1, losses)

    def consider(self, value: float, epoch: int, mode: str | None) -> bool:
        """Return whether an objective's value is the best so far, which then is kept.

        Args:
            value: One that is no number is worse than any.
            epoch: When it was measured, from 1 on.
            mode: `max` or `min`.
        """
        self.undefined = not math.isfinite(value)
        if self.undefined:
            return False

        sign = 1 if mode == "max" else -1
        if self.best is not None and sign * value <= sign * self.best:
            return False

        self.best = value
        self.best_epoch = epoch

        return True

    def epochs_done(self, trainer: pl.Trainer) -> int:
        """Whole epochs of the fit that a trainer has behind it, before an interruption as well."""
        return self.epochs_before + trainer.current_epoch

    def steps_done(self, trainer: pl.Trainer) -> int:
        """Optimizer steps of the fit, before an interruption as well."""
        return self.steps_before + trainer.global_step

    def begin_after(self, epochs: int, steps: int) -> None:
        """Stand behind so many epochs and optimizer steps of an interrupted fit."""
        self.epochs_before = epochs
        self.steps_before = steps

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        counters = {name: getattr(self, name) for name in COUNTERS}
        counters["loss"] = torch.as_tensor(self.loss).clone()
        return {"meter": counters, "best": self.best, "best_epoch": self.best_epoch}

    def revert(self, saved: dict[str, Any], device: torch.device) -> None:
        """Count on from a snapshot; the sum of losses goes to the device that adds to it."""
        counters = saved["meter"]
        counters.setdefault("batches", counters.get("steps"))  # what checkpoints called them before
        for name in COUNTERS:
            setattr(self, name, counters[name])
        self.examples_before = self.examples
        self.loss = counters["loss"].to(device)
        self.best = saved["best"]
        self.best_epoch = saved["best_epoch"]
