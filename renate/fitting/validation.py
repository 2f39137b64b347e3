"""What becomes of the weights during a fit: measured, reported, kept where they are the best."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from renate.errors import JobError
from renate.files import ANEW, replacing
from renate.fitting.callbacks.base import MeasuringCallback
from renate.fitting.checkpoint_files import CHECKPOINTS
from renate.fitting.learner import Learner
from renate.libraries.lightning import callbacks_of
from renate.libraries.torch import load_tensors
from renate.metrics import is_of_fit
from renate.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Objective:
    """What says which weights are the best.

    Attributes:
        metric: Its name; None, or one that no fit measures, keeps the last epoch's weights.
        mode: `max` or `min`.
        patience: Epochs without a better value before the fit ends; None never ends it.
    """

    metric: str | None
    mode: str | None = None
    patience: int | None = None

    @property
    def is_measured(self) -> bool:
        """Whether it is a metric of a fit, and not of a stream, say."""
        return self.metric is not None and is_of_fit(self.metric)


@dataclass(frozen=True)
class Validation:
    """Measures and reports the weights, keeps the best, and ends the fit when none get better.

    Attributes:
        learner: Whose weights.
        measure: Returns their metrics on validation data, `val_…`; {} without such data.
        objective: Which are the best.
        report: Takes epoch, step and metrics of each validation.
        file: Where the best weights are kept during the fit.
        ranks: The processes that train together; each must decide the same.
    """

    learner: Learner
    measure: Callable[[], dict[str, float]]
    objective: Objective
    report: Callable[..., None]
    file: Path
    ranks: Ranks = ALONE

    def validate(self, trainer: pl.Trainer) -> None:
        """Measure and report the weights as they are now.

        Raises:
            JobError: The training loss is no number, or a scheduler waits for what isn't measured.
        """
        progress = self.learner.progress
        epoch = progress.epochs_done(trainer) + 1
        step = progress.steps_done(trainer)

        train_loss = progress.mean_loss(self.ranks)
        self.learner.check_loss(train_loss)
        self.learner.weights.gather()
        metrics = {"train_loss": train_loss, **self.measure()}
        for callback in callbacks_of(trainer):
            if isinstance(callback, MeasuringCallback):
                metrics |= callback.measured(trainer)

        # What EarlyStopping and its like look up.
        trainer.callback_metrics.update({name: torch.tensor(v) for name, v in metrics.items()})
        self._step_plateaus(trainer, metrics)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=step)

        self._judge(trainer, metrics, epoch)
        self.report(epoch=epoch, step=step, **metrics)

    def _judge(self, trainer: pl.Trainer, metrics: Mapping[str, float], epoch: int) -> None:
        """Keep the weights if they are the best; end the fit if none have been for long."""
        objective = self.objective
        if not objective.is_measured:
            return

        progress = self.learner.progress
        if progress.consider(metrics[str(objective.metric)], epoch, objective.mode):
            if self.ranks.first:
                self._keep(epoch)
        elif objective.patience is not None and epoch - progress.best_epoch >= objective.patience:
            trainer.should_stop = True

    def _keep(self, epoch: int) -> None:
        best = {
            "update": self.learner.progress.update,
            "content": self.learner.progress.content,
            "epoch": epoch,
            "value": self.learner.progress.best,
            "model": self.learner.weights.whole.state_dict(),
            "updater": self.learner.updater.state_dict(),
        }
        # No power loss matters before there is a checkpoint to go on from, which flushes them
        is_needed = any(self.file.parent.glob(CHECKPOINTS))
        with replacing(self.file, durable=is_needed) as temporary:
            torch.save(best, temporary)

    def _step_plateaus(self, trainer: pl.Trainer, metrics: Mapping[str, float]) -> None:
        """Step the schedulers that wait for a metric, each time it was measured.

        Raises:
            JobError: Nothing of that name is measured.
        """
        for config in trainer.lr_scheduler_configs:
            if not config.reduce_on_plateau:
                continue

            monitor = str(config.monitor)
            if monitor not in metrics:
                found = f"lr_scheduler.monitor={monitor}"
                raise JobError(f"{found}: not measured in this fit ({', '.join(metrics)})")

            scheduler: Any = config.scheduler
            scheduler.step(metrics[monitor])

    def restore_best(self) -> None:
        """Put the best epoch's weights back, where an objective chose one.

        The memory stays as the fit left it.

        Raises:
            JobError: The objective was no number in any epoch, or the disk holds other weights than
                were written.
        """
        learner = self.learner
        if learner.progress.best is None and learner.progress.undefined:
            raise JobError(
                f"objective.metric={self.objective.metric} was no number in any epoch: "
                "nothing is published; objective.metric=null keeps the last epoch's weights",
            )

        learner.weights.gather()
        model = learner.weights.whole
        if self.ranks.first:
            if learner.progress.best is not None:
                best = self._best()
                model.load_state_dict(best["model"])
                learner.updater.load_state_dict(best["updater"])
            self.file.unlink(missing_ok=True)

        self.ranks.broadcast_module(model)
        self.ranks.broadcast_module(learner.updater)

    def _best(self) -> dict[str, Any]:
        """What was kept of the best epoch."""
        try:
            found: dict[str, Any] = load_tensors(self.file)
        except ValueError as error:
            raise JobError(f"the best epoch's weights: {error}: {ANEW}") from error

        return found
