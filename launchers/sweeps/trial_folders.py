"""The folders of a sweep's trials: what each starts from, and what is dropped when it has lost."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from renate.errors import ConfigError
from renate.jobs.directory import START
from renate.tuning.base import COMPLETED, FAILED
from renate.tuning.on_disk.sweep_folder import drop_outcome
from renate.tuning.sweep import Sweep
from renate.tuning.trial import RUNNING, Trial

from ..base import ComposedJob
from .request import SweepRequest, lines_of


class TrialFolders:
    """One folder a trial, and one for each further seed of it.

    Args:
        request: What the sweep is about.
        folder: The sweep's.
        clones: Whether a trial may begin as another was after some epoch.

    Attributes:
        when_over: Calls what it is given as soon as nothing writes to a trial's folder any more.
    """

    def __init__(self, request: SweepRequest, folder: Path, *, clones: bool) -> None:
        self.request = request
        self.folder = folder
        self.clones = clones
        self.leader: Trial | None = None  # whose outcome is kept so far
        self.when_over: Callable[[Trial, Callable[[], None]], None] = lambda trial, then: then()

    def _name(self, trial: int, k: int) -> str:
        if not k:
            return str(trial)
        return f"{trial}-seed{self.request.record.seed + k}"

    def job(self, trial: Trial, k: int) -> ComposedJob:
        """The job of a trial on its k-th seed."""
        lines = [*self.request.shared(), *lines_of(trial.config)]
        if k:
            lines = [line for line in lines if not line.startswith("seed=")] + [
                f"seed={self.request.record.seed + k}"
            ]

        job = self.request.composer.compose(trial.id, lines)
        name = self._name(trial.id, k)
        job.record = replace(
            job.record,
            id=f"{self.request.record.id}-{name}",
            publish=False,
            trial=trial.id,
            already=None,
        )
        job.directory.path = self.folder / name
        job.name = f"trial {name}"

        if self.clones:
            if job.config.trainer.report_every is not None:
                raise ConfigError(
                    f"trainer.report_every={job.config.trainer.report_every}: a tuner whose trials "
                    "go on from each "
                    "other's checkpoints goes by epochs; give trainer.report_every=null or another "
                    "tuner"
                )

            if job.config.trainer.devices not in (None, 1):
                raise ConfigError(
                    f"trainer.devices={job.config.trainer.devices}: a tuner whose trials go on "
                    "from each other's "
                    "checkpoints trains in one process; give trainer.devices=1 or another tuner"
                )

            job.record = replace(job.record, clonable=True)

        if trial.parent is not None:
            recipe = f"{job.record.recipe}+{trial.parent}@{trial.since}"
            job.record = replace(job.record, recipe=recipe)
            self._hand_over(
                self.folder / self._name(trial.parent, k) / f"epoch-{trial.since}.pt", job
            )

        return job

    def _hand_over(self, checkpoint: Path, job: ComposedJob) -> None:
        """A clone keeps what it starts from: its parent goes on, and the clone may have to
        begin again.
        """
        start = job.directory.path / START
        if not (start.exists() and job.known()):
            start.parent.mkdir(parents=True, exist_ok=True)
            start.unlink(missing_ok=True)
            os.link(checkpoint, start)

    def tell(self, sweep: Sweep, trial: Trial) -> None:
        """Drop what a change of a trial makes useless."""
        if self.clones:
            self._forget(trial)
        if trial.status == RUNNING or self.request.tuner["keep"] == "all":
            return

        loser = trial if trial is not sweep.best else self.leader
        self.leader = sweep.best
        if loser is not None and loser is not sweep.best:
            self.when_over(loser, partial(self._drop, loser))

    def _forget(self, trial: Trial) -> None:
        """Drop epochs that no clone will start from: those before the last, and all of what has
        completed or failed.
        """
        for k in range(int(self.request.tuner["seeds"])):
            for path in (self.folder / self._name(trial.id, k)).glob("epoch-*.pt"):
                epoch = int(path.stem.removeprefix("epoch-"))
                if epoch < trial.step or trial.status in (COMPLETED, FAILED):
                    path.unlink(missing_ok=True)

    def _drop(self, trial: Trial) -> None:
        for k in range(int(self.request.tuner["seeds"])):
            folder = self.folder / self._name(trial.id, k)
            drop_outcome(folder)
            for name in ("checkpoint*.pt", "best.pt", START):
                for path in folder.glob(name):
                    path.unlink(missing_ok=True)

    def clean(self, sweep: Sweep, best: Trial | None) -> None:
        """The winner's candidate is in the state now.

        The losers' are dropped, those that came late too.
        """
        for path in self.folder.glob("*/epoch-*.pt"):
            path.unlink(missing_ok=True)

        if self.request.tuner["keep"] == "best":
            for trial in sweep.trials:
                if (
                    best is None
                    or trial is not best
                    or self.request.record.to != str(self.folder / "state")
                ):
                    self._drop(trial)
