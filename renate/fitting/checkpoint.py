"""What lets an interrupted fit go on within an epoch, bit for bit."""

import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from renate.data.batch import Batches
from renate.errors import JobError
from renate.fitting.callbacks.states import restore_states, states_of
from renate.fitting.checkpoint_files import CheckpointFiles, Saved
from renate.fitting.epoch_loop import EpochLoop
from renate.fitting.learner import Learner
from renate.generators import generators, set_generators
from renate.libraries.lightning import callbacks_of

# What a schedule that waits for a metric has come to; the rest of its state is what it was given
OF_PLATEAU = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


class Checkpoint:
    """Writes everything a fit consists of, now and then and when the job is told to end.

    Weights, updater, optimizer, schedulers, memory, the place within the epoch, and every
    generator's state. Loaded with `weights_only=True`; the file is gone once the fit is over.

    Of a fit that a tuner may clone, one more file after each epoch, `epoch-<n>.pt`, which the
    tuner deletes; the clone begins with one of these.

    Args:
        learner: What is trained.
        batches: Its epochs, whose place is kept.
        files: Where checkpoints are written.
        reports: Returns what was reported so far, which is kept as well.
        every: Seconds between checkpoints; None writes one only when told to end.
        start: The file that a clone begins with, where this fit is one.
        clonable: Whether a tuner may clone this fit.

    Attributes:
        saved: What this fit goes on from; None from its beginning, and once it is restored.
        cloned: Whether that is another fit's.

    Raises:
        JobError: A clone's file can't be read.
    """

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        files: CheckpointFiles,
        reports: Callable[[], list[dict[str, Any]]],
        every: float | None,
        *,
        start: Path | None = None,
        clonable: bool = False,
    ) -> None:
        self.learner = learner
        self.progress = learner.progress
        self.batches = batches
        self.files = files
        self.reports = reports
        self.every = every
        self.clonable = clonable
        self._next = time.monotonic() + (every or 0)
        self._ending = False

        self.saved = files.newest()
        self.cloned = self.saved is None and start is not None and start.exists()

        if self.cloned and start is not None:
            self.saved = files.load(start)
            if self.saved is None:
                raise JobError(f"{start}: unreadable, so the clone can't begin")

        if self.saved is not None:
            self.progress.begin_after(self.saved["epochs"], self.saved["steps"])

    def restore(self, trainer: pl.Trainer) -> None:
        """Let a fit that has just begun go on from what was saved, if anything was."""
        if self.saved is None:
            return

        saved = self.saved
        self.saved = None
        updater = self.learner.updater
        self.learner.weights.load(saved["model"])
        updater.load_state_dict(saved["updater"])
        updater.memory.revert(saved["memory"])
        trainer.precision_plugin.load_state_dict(saved["precision"])
        self.batches.resume(saved["position"], saved["order"])
        set_generators(saved["generators"])

        if self.cloned:
            self._begin_as_clone(trainer, saved)
            return

        self.learner.weights.load_optimizer(trainer.optimizers[0], saved["optimizer"])
        for config, state in zip(trainer.lr_scheduler_configs, saved["schedulers"], strict=True):
            config.scheduler.load_state_dict(state)

        restore_states(self._users_callbacks(trainer), saved.get("callbacks", []))
        self.progress.revert(saved, self.learner.device)

        loop = trainer.fit_loop.epoch_loop
        assert isinstance(loop, EpochLoop)
        loop.taken = saved["position"]

    def check_restored(self) -> None:
        """Return if the fit has gone on from what was saved, where anything was.

        A trainer that has nothing left to train calls no hooks, and the weights would be those
        that the update began with.

        Raises:
            JobError: Nothing was left to train.
        """
        if self.saved is not None:
            raise JobError(
                f"what this fit goes on from has trained for {self.saved['epochs']} epochs and "
                f"{self.saved['steps']} steps, which leaves none: resume=false begins anew"
            )

    def _begin_as_clone(self, trainer: pl.Trainer, saved: Saved) -> None:
        """Take the parent's momenta; keep the clone's own settings, and its own schedule.

        The schedule is brought as far as the parent's was.
        """
        optimizer = trainer.optimizers[0]
        own = [_settings_of(group) for group in optimizer.param_groups]
        optimizer.load_state_dict(saved["optimizer"])
        for group, settings in zip(optimizer.param_groups, own, strict=True):
            group.update(settings)

        configs = trainer.lr_scheduler_configs
        per_epoch = -(-len(self.batches) // trainer.accumulate_grad_batches)
        with warnings.catch_warnings():
            # The parent's optimizer has stepped before.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for config, state in zip(configs, saved["schedulers"], strict=True):
                scheduler: Any = config.scheduler
                if config.reduce_on_plateau:
                    scheduler.load_state_dict({name: state[name] for name in OF_PLATEAU})
                    continue
                each = 1
                if config.interval == "step":
                    each = per_epoch

                for _ in range(saved["epochs"] * each):
                    scheduler.step()

    def told_to_end(self, *_: object) -> None:
        """Save at the next step that can be saved, and end the process then."""
        self._ending = True

    def wishes(self) -> tuple[bool, bool]:
        """Whether a checkpoint is due, and whether the job was told to end."""
        return self.every is not None and time.monotonic() >= self._next, self._ending

    def save_within_epoch(self, trainer: pl.Trainer, *, ending: bool) -> None:
        """Save after a batch, unless a step isn't complete, or an epoch or the fit is.

        What an epoch's last step asks for is done before the next one begins, when the epoch is
        measured and reported, and the schedulers have stepped. After the fit's last step nothing is
        left that a checkpoint could go on with.
        """
        position = self.batches.position
        accumulating = position % trainer.accumulate_grad_batches != 0
        is_over = trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step
        if not (accumulating or is_over or position == len(self.batches)):
            self._save(trainer, ending=ending)

    def save_between_epochs(self, trainer: pl.Trainer, *, ending: bool) -> None:
        """Save before an epoch's first step."""
        self.batches.begin()
        self._save(trainer, ending=ending)

    def _save(self, trainer: pl.Trainer, *, ending: bool) -> None:
        self.files.save_step(self._everything(trainer))
        self._next = time.monotonic() + (self.every or 0)
        if ending:
            sys.exit(128 + signal.SIGTERM)

    def end_epoch(self, trainer: pl.Trainer) -> None:
        """Write what a clone may begin with."""
        if self.clonable:
            done = self.progress.epochs_done(trainer) + 1
            generator = self.batches.generator
            order = None
            if generator is not None:
                order = generator.get_state()

            content = self._everything(trainer) | {"epochs": done, "position": 0, "order": order}
            self.files.save(self.files.folder / f"epoch-{done}.pt", content)

    def _everything(self, trainer: pl.Trainer) -> Saved:
        updater = self.learner.updater
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        ranks = self.files.ranks
        return {
            "update": self.files.update,
            "content": self.files.content,
            "ranks": ranks.size,
            "epochs": self.progress.epochs_done(trainer),
            "steps": self.progress.steps_done(trainer),
            "position": self.batches.position,
            "order": self.batches.order,
            "model": self.learner.weights.state(),
            "updater": updater.state_dict(),
            "memory": updater.memory.snapshot(),
            "optimizer": self.learner.weights.optimizer_state(trainer.optimizers[0]),
            "schedulers": [scheduler.state_dict() for scheduler in schedulers],
            "precision": trainer.precision_plugin.state_dict(),
            "callbacks": states_of(self._users_callbacks(trainer)),
            **self.progress.snapshot(),
            "generators": generators(),
            "reports": self.reports() if ranks.first else [],
        }

    def _users_callbacks(self, trainer: pl.Trainer) -> list[pl.Callback]:
        """All callbacks but the one that calls this."""
        callbacks = callbacks_of(trainer)
        return [each for each in callbacks if getattr(each, "checkpoint", None) is not self]

    def done(self) -> None:
        """Remove what was saved: the fit is over."""
        self.files.keep()


def _settings_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """What an optimizer's group of parameters is given: its learning rate, momentum and so on."""
    return {name: value for name, value in group.items() if name != "params"}
