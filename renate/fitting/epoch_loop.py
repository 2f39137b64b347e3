"""Lightning's loop over an epoch's batches, without what no one listens to."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins import precision as precisions
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from renate.fitting.learner import Learner

HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
OF_LEARNER = "on_before_optimizer_step"  # the short loop calls it, too
PRECISIONS = (
    precisions.Precision,
    precisions.DoublePrecision,
    precisions.HalfPrecision,
    precisions.MixedPrecision,
)


class EpochLoop(_TrainingEpochLoop):
    """Takes the same steps, in a third of the Python.

    Lightning calls 22 hooks a step, each in a context of its own, whether or not anything is there
    to hear it. Where only this library's callback hears of steps, one process trains on one device,
    and each batch is a step, the loop here calls that one, and nothing else: counters, schedulers,
    clipping, precision, SIGTERM and the ends of epochs and of `max_steps` are as ever. In all other
    cases Lightning's own loop runs.

    Args:
        trainer: Whose loop this replaces.
        ours: Callbacks that hear of each step, and log nothing by Lightning's `log`.

    Attributes:
        taken: Batches of the current epoch that an interrupted fit has taken: the epoch's rest
            ends where the whole one would.
    """

    def __init__(self, trainer: pl.Trainer, ours: tuple[type[pl.Callback], ...]) -> None:
        super().__init__(trainer, trainer.min_steps, trainer.max_steps)
        self.ours = ours
        self.taken = 0

    @classmethod
    def replace(cls, trainer: pl.Trainer, *ours: type[pl.Callback]) -> None:
        """Let a trainer run its epochs by this loop."""
        trainer.fit_loop.epoch_loop = cls(trainer, ours)

    def run(self, data_fetcher: Any) -> None:
        """Run an epoch's batches: by the short loop where it does the same, by Lightning's own
        elsewhere.

        Raises:
            SIGTERMException: The process was sent SIGTERM while there was more to train.
        """
        if self._is_plain():
            self._run_plainly(data_fetcher)
        else:
            super().run(data_fetcher)

        self.taken = 0

    def _run_plainly(self, data_fetcher: Any) -> None:
        self.reset()
        self.on_run_start(data_fetcher)
        self.val_loop.restarting = False

        try:
            self._run_steps()
        finally:
            self.on_iteration_done()

    def _num_ready_batches_reached(self) -> bool:
        """Whether the current batch is the last of its epoch, at which Lightning makes a step of
        whatever gradients there are, and steps the schedulers that step by epochs.
        """
        ready = self.taken + self.batch_progress.current.ready
        return bool(ready == self.trainer.num_training_batches or self.batch_progress.is_last_batch)

    def _is_plain(self) -> bool:
        """Whether nothing but our callbacks takes part in a step."""
        trainer = self.trainer
        learner = trainer.lightning_module
        precision = trainer.precision_plugin
        hooks = [hook for hook in (*HOOKS, "backward") if hook != OF_LEARNER]
        in_steps = [c for c in trainer.callbacks if any(_overrides(c, hook) for hook in HOOKS)]

        return (
            isinstance(learner, Learner)
            and not any(is_overridden(hook, learner, pl.LightningModule) for hook in hooks)
            and all(type(callback) in self.ours for callback in in_steps)
            and type(trainer.strategy) is SingleDeviceStrategy
            and type(precision) in PRECISIONS
            and getattr(precision, "scaler", None) is None
            and trainer.accumulate_grad_batches == 1
            and len(trainer.optimizers) == 1
            and isinstance(trainer.profiler, PassThroughProfiler)
            and not self.restarting
        )

    def _run_steps(self) -> None:
        trainer = self.trainer
        learner = trainer.lightning_module
        batch_progress = self.batch_progress
        step_progress = self.automatic_optimization.optim_progress.optimizer.step
        last = trainer.num_training_batches
        beginning = self._hooks_named("on_train_batch_start")
        ending = self._hooks_named("on_train_batch_end")
        step = self._step_function()

        for index, batch in enumerate(trainer.train_dataloader):
            batch_progress.increment_ready()
            batch_progress.is_last_batch = self.taken + index + 1 == last
            for begin in beginning:
                begin(trainer, learner, batch, index)

            batch_progress.increment_started()

            step_progress.increment_ready()
            outputs = {"loss": step(batch, index)}
            step_progress.increment_completed()

            batch_progress.increment_processed()
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if batch_progress.is_last_batch:
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)

            for end in ending:
                end(trainer, learner, outputs, batch, index)

            batch_progress.increment_completed()
            self.update_lr_schedulers("step", update_plateau_schedulers=True)

            self._batches_that_stepped += 1
            done = self.done
            if trainer.received_sigterm and not self._is_training_done:
                raise SIGTERMException
            if done:
                break

    def _hooks_named(self, hook: str) -> list[Callable[..., Any]]:
        """A hook of each callback that has it."""
        return [getattr(c, hook) for c in self.trainer.callbacks if _overrides(c, hook)]

    def _step_function(self) -> Callable[[Any, int], Tensor]:
        """What takes a batch and its number, makes a step, and returns the loss."""
        trainer = self.trainer
        learner = trainer.lightning_module
        optimizer = trainer.optimizers[0]
        precision = trainer.precision_plugin
        is_bare = type(precision) is precisions.Precision
        clip = trainer.gradient_clip_val
        algorithm = trainer.gradient_clip_algorithm

        def step(batch: Any, index: int) -> Tensor:
            found: list[Tensor] = []

            def closure() -> Tensor:
                """Some optimizers call it more than once."""
                loss: Tensor
                if is_bare:
                    loss = learner.training_step(batch, index)
                else:
                    with precision.train_step_context():
                        loss = learner.training_step(batch, index)

                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                learner.on_before_optimizer_step(optimizer)
                if clip:
                    learner.configure_gradient_clipping(optimizer, clip, algorithm)

                found.append(loss.detach())

                return loss

            optimizer.step(closure)
            return found[-1]

        return step


def _overrides(callback: pl.Callback, hook: str) -> bool:
    return is_overridden(hook, callback, pl.Callback)
