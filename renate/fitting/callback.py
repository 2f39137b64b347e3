"""The one callback of a fit: what happens around its steps, in the order in which it is written."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from renate.fitting.checkpoint import Checkpoint
from renate.fitting.rank_sync import RankSync
from renate.fitting.validation import Validation

TICK = 0.2  # seconds between two signs of progress


class FitCallback(pl.Callback):
    """Validates, lets processes agree, and writes checkpoints.

    Lightning calls callbacks one after another, and each of these steps needs that the one before
    has been taken: here that is the order of the lines.

    Args:
        validation: Measures the weights.
        checkpoint: Saves what the fit consists of.
        sync: Lets several processes decide alike; None for one alone.
        tick: Takes (steps done, steps in all, text) a few times a second.
        validate_every: Optimizer steps between validations; None validates after each epoch.
    """

    def __init__(
        self,
        validation: Validation,
        checkpoint: Checkpoint,
        sync: RankSync | None,
        tick: Callable[[int, int, str], None],
        validate_every: int | None,
    ) -> None:
        self.validation = validation
        self.checkpoint = checkpoint
        self.sync = sync
        self.tick = tick
        self.validate_every = validate_every
        self.progress = validation.learner.progress
        self._validated = 0  # the step after which weights were last measured
        self._next_tick = 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Let the fit go on from its checkpoint, where it has one."""
        self.checkpoint.restore(trainer)
        # What it goes on from was measured, where it was to be
        self._validated = self.progress.steps_done(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the checkpoint that the last step of the epoch before asked for, if it did.

        Raises:
            SystemExit: The job was told to end, and is saved.
        """
        if trainer.current_epoch == 0:  # nothing was trained since what this fit began with
            return

        # What an epoch's last step asked for; the epoch is measured and reported by now.
        due, ending = self._wishes()
        if due or ending:
            self.checkpoint.save_between_epochs(trainer, ending=ending)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        *_: Any,
    ) -> None:
        """Validate where `validate_every` says so, let the processes agree, write a checkpoint that
        is due, and show progress every `TICK` seconds.

        Raises:
            SystemExit: The job was told to end, and is saved.
            JobError: See `Validation.validate`.
        """
        if self.validate_every is not None:  # before a checkpoint of this step, which knows of it
            self._validate_midway(trainer, self.validate_every)

        if self.sync is not None:
            self.sync.vote(*self.checkpoint.wishes())

        due, ending = self._wishes()
        if due or ending:
            self.checkpoint.save_within_epoch(trainer, ending=ending)

        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + TICK
            self._tick(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Align the ids of several processes, tell the checkpoint of the epoch's end, and validate
        where `validate_every` is None.

        Raises:
            JobError: See `Validation.validate`.
        """
        if self.sync is not None:
            self.sync.end_epoch()

        self.checkpoint.end_epoch(trainer)
        if self.validate_every is None:  # who hears of this epoch may clone it: its file is written
            self.validation.validate(trainer)

    def _wishes(self) -> tuple[bool, bool]:
        """Whether a checkpoint is due, and whether the job was told to end."""
        if self.sync is None:
            return self.checkpoint.wishes()
        return self.sync.agreed

    def _validate_midway(self, trainer: pl.Trainer, every: int) -> None:
        step = self.progress.steps_done(trainer)
        if step % every == 0 and step != self._validated:  # not every batch makes a step
            self._validated = step
            self.validation.validate(trainer)

    def _tick(self, trainer: pl.Trainer) -> None:
        epoch = self.progress.epochs_done(trainer) + 1
        last = self.progress.epochs_before + (trainer.max_epochs or 0)
        step = self.progress.steps_done(trainer)
        self.tick(step, self.progress.total, f"epoch {epoch}/{last}")
