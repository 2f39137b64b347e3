"""The two halves of a tuner: what proposes configurations, and what stops those not worth
finishing.

A value is what is minimised, whatever the objective's mode: the sweep turns its sign where it has
to.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from renate.tuning.pareto import Point
from renate.tuning.space import Config, Space

COMPLETED = "completed"
STOPPED = "stopped"
FAILED = "failed"


@dataclass(frozen=True)
class Proposal:
    """A configuration to try.

    Attributes:
        config: Every active key of the space.
        source: `sampled`, `enqueued`, or `clone:<trial>`.
        parent: Of a clone, the trial that it goes on from, as that one was after the last epoch it
            has reported.
    """

    config: Config
    source: str = "sampled"
    parent: int | None = None


class Proposer(ABC):
    """Proposes configurations; may learn from what trials report, and may stop them.

    Trials are numbered from 0 in the order in which they are asked for. The same calls after the
    same `bind` give the same answers, in another process too: a killed sweep goes on by repeating
    them.

    Attributes:
        clones: Whether a proposal may have a parent; trials then keep what a clone needs.
        multi_objective: Whether it can do with further objectives, `objectives` in all.
    """

    clones = multi_objective = False
    objectives = 1

    # Most need no more than `first`
    def learn(self, updates: Sequence[Sequence[tuple[Config, float]]]) -> None:  # noqa: B027
        """Take the completed trials of earlier updates, oldest first, as far as they fit the
        space; before `bind`.
        """

    def bind(
        self, space: Space, *, first: Sequence[Config], seed: int, steps: int, slots: int
    ) -> None:
        """Called once, before anything else.

        Args:
            space: What to propose from.
            first: Configurations of the space that are to be proposed before any other, as
                `enqueued`.
            seed: The sweep's.
            steps: Epochs of a whole trial; a trial that reports this step has completed.
            slots: Trials that run at a time.
        """
        self.space = space
        self.first = list(first)
        self.seed = seed
        self.steps = steps
        self.slots = slots

    def ask(self, trial: int) -> Proposal | None:
        """Return the next proposal, None where the space has nothing new."""
        if trial < len(self.first):
            return Proposal(self.first[trial], "enqueued")
        return self.propose(trial)

    @abstractmethod
    def propose(self, trial: int) -> Proposal | None:
        """Return the proposal of a trial that comes after `first`, None where the space has nothing
        new.
        """

    # Most know of one objective only
    def report_secondary(self, trial: int, values: Point) -> None:  # noqa: B027
        """Take the further objectives' values, right before `report` and `end` of a trial with
        several.
        """

    def report(self, trial: int, step: int, value: float) -> bool:
        """Take what a running trial has reached after an epoch (1, 2, …); True stops it."""
        return False

    # Most learn nothing
    def end(self, trial: int, status: str, value: float | None) -> None:  # noqa: B027
        """Take how a trial ended: completed, with its final value, stopped (by whomever) or
        failed.
        """


class Stopper(ABC):
    """Stops trials that are not worth finishing.

    Attributes:
        multi_objective: Whether it can do with further objectives.
    """

    multi_objective = False

    def bind(self, *, steps: int, seed: int, enqueued: int, warm: bool) -> None:
        """Called once, before anything else; see `Proposer.bind`.

        Args:
            steps: Epochs of a whole trial.
            seed: The sweep's.
            enqueued: So many trials, the first, are configurations of earlier updates.
            warm: Whether trials start from a trained model; early epochs then say little of late
                ones.
        """
        self.steps = steps
        self.seed = seed
        self.enqueued = enqueued
        self.warm = warm

    def grace_epochs(self, grace: int | None) -> int:
        """Epochs that every trial may run: `grace`, or by default 1 from scratch and a third of
        a warm trial.
        """
        if grace is not None:
            return grace
        if self.warm:
            return max(1, self.steps // 3)
        return 1

    # Most know of one objective only
    def report_secondary(self, trial: int, values: Point) -> None:  # noqa: B027
        """Take the further objectives' values, right before each `report` of a trial with
        several.
        """

    @abstractmethod
    def report(self, trial: int, step: int, value: float) -> bool:
        """Take what a running trial has reached at an epoch (1, 2, …): of one objective the best
        value so far, of several the epoch's own; True stops it.
        """

    # Most keep nothing
    def end(self, trial: int, status: str) -> None:  # noqa: B027
        """Take how a trial ended; what a failed one reported no longer counts."""
