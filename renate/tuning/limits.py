"""When a sweep ends by itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from renate.tuning.base import COMPLETED, FAILED
from renate.tuning.trial import Trial


@dataclass(frozen=True)
class Limits:
    """When a sweep ends; None is never.

    Attributes:
        max_trials: Trials started.
        max_trials_completed: Trials that ran to their end.
        max_trials_finished: Trials that ended in whatever way.
        max_failures: Failed trials; one more ends the sweep with an error.
        max_time: Seconds, those before a kill included.
        max_cost: The same currency as `price`.
        price: Cost of an hour of one trial.
    """

    max_trials: int | None
    max_trials_completed: int | None
    max_trials_finished: int | None
    max_failures: int | None
    max_time: float | None
    max_cost: float | None
    price: float

    def reached_by(self, ended: Counter[str], spent: float, trials: Sequence[Trial]) -> str | None:
        """Return, in words, the limit that the trials which have ended reach; None where none is.

        Args:
            ended: Status -> trials that ended so.
            spent: Seconds of all of them.
            trials: All trials, in the order in which they began.
        """
        if self.max_failures is not None and ended[FAILED] > self.max_failures:
            last = next(trial for trial in reversed(trials) if trial.status == FAILED)
            failures = f"more than max_failures={self.max_failures} trials failed"
            return f"{failures}; the last: {last.error}"

        completed = self.max_trials_completed
        if completed is not None and ended[COMPLETED] >= completed:
            return f"max_trials_completed={completed}"

        if self.max_trials_finished is not None and ended.total() >= self.max_trials_finished:
            return f"max_trials_finished={self.max_trials_finished}"
        if self.max_cost is not None and spent * self.price / 3600 >= self.max_cost:
            return f"max_cost={self.max_cost:g}"

        return None
