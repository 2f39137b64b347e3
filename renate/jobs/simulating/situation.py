"""What a policy may ask within a simulation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from renate.data.base import Data
from renate.errors import ConfigError
from renate.jobs.context import Job
from renate.jobs.detecting.looks import kept_effects
from renate.jobs.detecting.situation import (
    SHARE,
    JobSituation,
    detector_of,
    own_score,
    training_seconds_of,
)
from renate.jobs.saved.restore import Saved
from renate.jobs.simulating.slice_row import SliceRow
from renate.policy.base import Score
from renate.shift.detector import Drift


@dataclass(frozen=True)
class Clock:
    """The data's own time.

    Attributes:
        made: When the newest slice had come that the version in use was trained on.
        now: When the newest slice of all had come.
    """

    made: datetime
    now: datetime


class SimulatedSituation:
    """What came since the last update beside the version in use, by the data's own time.

    Args:
        job: The job.
        saved: The version in use.
        clock: What time it is.
        waiting: The slices since the last update, scored by the version in use.
        load: Gives the examples of the slices that policies compare, when they are asked for.
        compared: How many of the last slices these are.
        metric: What slices are scored by.
        mode: Which way that is better.
    """

    def __init__(
        self,
        job: Job,
        saved: Saved,
        clock: Clock,
        waiting: Sequence[SliceRow],
        load: Callable[[], Data],
        compared: int,
        metric: tuple[str, str],
    ) -> None:
        self.job = job
        self.saved = saved
        self.clock = clock
        self.waiting = waiting
        self.load = load
        self.compared = compared
        self.metric, self.mode = metric
        self._drift: Drift | None = None

    def new_examples(self) -> int:
        """All examples since the last update."""
        return sum(row.examples for row in self.waiting)

    def made(self) -> datetime:
        """When the newest slice had come that the version in use was trained on."""
        return self.clock.made

    def now(self) -> datetime:
        """When the newest slice had come."""
        return self.clock.now

    def age(self) -> float:
        """Seconds between both."""
        return (self.clock.now - self.clock.made).total_seconds()

    def training_seconds(self) -> float:
        """As its lineage says: these are of this machine's clock."""
        return training_seconds_of(self.saved)

    def drift(self) -> Drift:
        """Compare the training side of the last slices with the version's reference."""
        if self._drift is None:
            detector = detector_of(self.job)
            self._drift = JobSituation(self.job, self.load(), self.saved, detector).drift()
        return self._drift

    def earlier_effects(self) -> list[float]:
        """Those that the version keeps, and those of the slices since it was made."""
        before = [row.effect for row in self.waiting]
        return [*kept_effects(self.saved), *(each for each in before if each is not None)]

    @property
    def effect(self) -> float | None:
        """That of this look; None where nobody asked for it."""
        return None if self._drift is None else self._drift.effect

    def score(self) -> Score:
        """Return what the last slices were scored, weighed by their examples, beside the version's
        own score on the validation examples of its update.

        Raises:
            ConfigError: There are none of both.
        """
        if self.job.config["data"].get("val_size") == 0:
            raise ConfigError(
                "data.val_size=0: in a simulation a version's own score, which policy=performance "
                "and cost go by, is that on its validation examples: data.val_size=0.1"
            )

        known = [row for row in self.waiting[-self.compared :] if row.score is not None]
        if not known:
            raise ConfigError(
                f"job.metric={self.metric} is defined on none of the last slices: choose another "
                "one, or a policy that doesn't ask for it"
            )

        examples = sum(row.examples for row in known)
        now = sum(float(row.score or 0.0) * row.examples for row in known) / examples
        own = own_score(self.saved, self.metric)
        return Score(self.metric, own, now, self.mode, self._errors())

    def _errors(self) -> float | None:
        """Wrong answers since the last update beyond those that are to be expected."""
        counts = [row.errors for row in self.waiting]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None

        expected = (1 - own_score(self.saved, SHARE)) * self.new_examples()
        return max(0.0, sum(known) - expected)
