"""What is known of a sweep's trials, and what proposer and stopper are told of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from renate.errors import ConfigError
from renate.tuning.base import COMPLETED, FAILED, Proposer, Stopper
from renate.tuning.objectives import Objectives
from renate.tuning.trial import Trial


class Ledger:
    """Keeps the trials; runs nothing and writes nothing, so a log can be repeated through it.

    Args:
        proposer: Bound.
        stopper: Bound.
        objectives: Which trial is better.

    Attributes:
        trials: All, in the order in which they were asked for.
        running: Number -> trial that hasn't ended.
        twins: Number -> trials of the same configuration, which end as that one does.
        ended: Status -> how many ended so.
        best: The best completed trial.
        spent: Seconds of all trials that have ended.
        now: How far the logical order of events has come (`order=fixed`).
    """

    def __init__(self, proposer: Proposer, stopper: Stopper, objectives: Objectives) -> None:
        self.proposer = proposer
        self.stopper = stopper
        self.objectives = objectives
        self.trials: list[Trial] = []
        self.running: dict[int, Trial] = {}
        self.known: dict[tuple[Any, ...], int] = {}
        self.twins: dict[int, list[Trial]] = {}
        self.ended: Counter[str] = Counter()
        # The best completed trial, as `sweep_folder.best_of` finds it in a log
        self.best: Trial | None = None
        self.spent = 0.0  # seconds of all trials that have ended
        self.now = 0

    def ask(self) -> Trial | None:
        """Return the trial that the proposer asks for next; None where it has nothing new.

        Raises:
            ConfigError: A clone of a trial that can't be cloned.
        """
        proposal = self.proposer.ask(len(self.trials))
        if proposal is None:
            return None

        trial = Trial(
            len(self.trials), proposal.config, proposal.source, proposal.parent, start=self.now
        )
        if trial.parent is not None:
            parent = self.trials[trial.parent]
            if parent.status in (COMPLETED, FAILED):
                raise ConfigError(
                    f"tuner.proposer: trial {trial.id} would be a clone of trial {parent.id}, "
                    f"which {parent.status}; only what runs or was stopped can be cloned"
                )

            trial.since = trial.step = parent.step

        key = (*sorted(trial.config.items()), (trial.parent, trial.since))
        trial.twin = self.known.setdefault(key, trial.id)
        if trial.twin == trial.id:
            trial.twin = None
        elif trial.twin in self.running:
            self.twins.setdefault(trial.twin, []).append(trial)

        self.trials.append(trial)
        self.running[trial.id] = trial

        return trial

    def report(
        self, trial: Trial, step: int, value: float, secondary: Sequence[float] = ()
    ) -> bool:
        """Take what a trial has reached after an epoch; True where it isn't worth going on with.

        Args:
            trial: One that runs.
            step: The epoch.
            value: The objective, as measured.
            secondary: The further objectives.
        """
        turned = self.objectives.turned
        if trial.value is None or turned(value) < turned(trial.value):
            trial.value = value
            trial.secondary = tuple(secondary)

        trial.step = step
        trial.curve.append((step, value))
        if secondary:
            turned_secondary = self.objectives.turned_secondary(secondary)
            self.proposer.report_secondary(trial.id, turned_secondary)
            self.stopper.report_secondary(trial.id, turned_secondary)

        proposer = self.proposer.report(trial.id, step, turned(value))
        reached = value
        if not secondary:
            reached = float(trial.value)

        return self.stopper.report(trial.id, step, turned(reached)) or proposer

    def end(self, trial: Trial, status: str, value: float | None, error: str | None) -> None:
        """Take how a trial has ended, and tell proposer and stopper.

        Args:
            trial: One that runs.
            status: `completed`, `stopped` or `failed`.
            value: The objective, as measured; None where there is none.
            error: Why it failed, or why it was stopped from outside.
        """
        trial.status = status
        trial.value = value
        trial.error = error
        del self.running[trial.id]
        self.ended[status] += 1
        self.spent += trial.seconds

        if (
            status == COMPLETED
            and trial.twin is None
            and (self.best is None or self.objectives.rank(trial) < self.objectives.rank(self.best))
        ):
            self.best = trial

        if trial.secondary:
            turned_secondary = self.objectives.turned_secondary(trial.secondary)
            self.proposer.report_secondary(trial.id, turned_secondary)

        turned = None
        if value is not None:
            turned = self.objectives.turned(value)

        self.proposer.end(trial.id, status, turned)
        self.stopper.end(trial.id, status)
