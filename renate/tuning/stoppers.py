"""Stoppers that need no engine."""

import random
from bisect import bisect_left, insort
from collections.abc import Sequence

from renate.tuning.base import FAILED, Stopper
from renate.tuning.pareto import Point, Ranking


class Never(Stopper):
    """Every trial runs to its end."""

    multi_objective = True

    def report(self, trial: int, step: int, value: float) -> bool:
        """Return False: no trial is stopped."""
        return False


class Median(Stopper):
    """Stop a trial whose best value is worse than the median of the others' at the same epoch.

    Golovin et al., 2017, https://doi.org/10.1145/3097983.3098043, section 3.2.2, with the others'
    best values in place of their running averages.

    Args:
        grace: Epochs that every trial may run; None: see `Stopper.grace_epochs`.
        trials: Others that must have reached the epoch before anything is stopped.
    """

    def __init__(self, grace: int | None, trials: int) -> None:
        if (grace is not None and grace < 1) or trials < 1:
            raise ValueError(f"grace={grace}, trials={trials}: expected 1 or more")
        self.grace = grace
        self.trials = trials
        self.reached: dict[int, dict[int, float]] = {}  # epoch -> trial -> best value
        self.order: dict[int, list[float]] = {}  # epoch -> these values, sorted

    def report(self, trial: int, step: int, value: float) -> bool:
        """Keep a trial's best value at an epoch; True if it is worse than the median of the others
        there, at least `trials`, once its grace is over and before its last epoch.
        """
        order = self.order.setdefault(step, [])
        worse = len(order) >= self.trials and value > _middle(order)
        self._forget(trial, step)
        self.reached.setdefault(step, {})[trial] = value
        insort(order, value)
        return self.grace_epochs(self.grace) <= step < self.steps and worse

    def end(self, trial: int, status: str) -> None:
        """Forget what a failed trial reported."""
        if status == FAILED:
            for step in self.reached:
                self._forget(trial, step)

    def _forget(self, trial: int, step: int) -> None:
        value = self.reached.get(step, {}).pop(trial, None)
        if value is not None:
            order = self.order[step]
            del order[bisect_left(order, value)]


def _middle(order: Sequence[float]) -> float:
    """The median of sorted values; `statistics.median` would sort them at each report."""
    half = len(order) // 2
    if len(order) % 2:
        return order[half]
    return (order[half - 1] + order[half]) / 2


class Halving(Stopper):
    """Asynchronous successive halving: at each rung only the best 1/factor of those that came there
    go on.

    Li et al., 2020, https://arxiv.org/abs/1810.05934, in the form that stops instead of pausing.
    Rungs are at grace, grace·factor, grace·factor², … epochs. With several brackets, as in
    Hyperband (Li et al., 2018), bracket b leaves out the first b rungs and gets a trial factor
    times as rarely as bracket b - 1.

    Of several objectives, those go on that the fewest others dominate.

    Args:
        factor: One of so many goes on.
        grace: Epochs until the first rung; None: see `Stopper.grace_epochs`.
        brackets: 1 is successive halving.
        bar: Whether trials after the enqueued ones must also beat the best of these at each rung
            (RUSH; Zappella et al., 2021, https://arxiv.org/abs/2103.16111).
    """

    multi_objective = True

    def __init__(self, factor: int, grace: int | None, brackets: int, bar: bool = False) -> None:
        if factor < 2 or (grace is not None and grace < 1) or brackets < 1:
            raise ValueError(
                f"factor={factor}, grace={grace}, brackets={brackets}: expected at least 2, 1 and 1"
            )

        self.factor = factor
        self.grace = grace
        self.brackets = brackets
        self.bar = bar
        self.rungs: dict[int, dict[int, float]] = {}  # epoch -> trial -> value
        self.order: dict[int, list[float]] = {}  # epoch -> its values, sorted
        self.passed: dict[int, int] = {}  # trial -> the last rung that it was judged at
        self.further: dict[int, Point] = {}  # trial -> the other objectives, where there are any
        self.points: dict[int, Ranking] = {}  # epoch -> all of them, by trial

    def report_secondary(self, trial: int, values: Point) -> None:
        """Keep the further objectives' values, for the report that follows."""
        self.further[trial] = values

    def report(self, trial: int, step: int, value: float) -> bool:
        """Judge a trial at each rung that it has come to since it was last judged; True if one of
        them lets it go on no further, unless this is its last epoch.
        """
        stop = False
        level = self.grace_epochs(self.grace) * self.factor ** self._bracket(trial)
        while level <= min(step, self.steps - 1):
            if level > self.passed.get(trial, 0):
                self.passed[trial] = level
                stop |= not self._goes_on(trial, level, value)
            level *= self.factor

        return stop and step < self.steps

    def _goes_on(self, trial: int, level: int, value: float) -> bool:
        if trial in self.further:
            return self._is_ahead(trial, level, (value, *self.further[trial]))

        rung = self.rungs.setdefault(level, {})
        order = self.order.setdefault(level, [])
        rung[trial] = value
        insort(order, value)

        if self.bar and trial >= self.enqueued:
            enqueued = [rung[t] for t in range(self.enqueued) if t in rung]
            if enqueued and value > min(enqueued):
                return False

        return bisect_left(order, value) < max(1, len(rung) // self.factor)

    def _is_ahead(self, trial: int, level: int, point: Point) -> bool:
        rung = self.points.setdefault(level, Ranking())
        rung.put(trial, point)
        return rung.ahead_of(trial) < max(1, len(rung) // self.factor)

    def _bracket(self, trial: int) -> int:
        weights = [self.factor**-b for b in range(self.brackets)]
        return random.Random(f"{self.seed}/bracket/{trial}").choices(range(self.brackets), weights)[
            0
        ]

    def end(self, trial: int, status: str) -> None:
        """Take a failed trial out of every rung."""
        if status == FAILED:
            for points in self.points.values():
                points.drop(trial)
            for level, rung in self.rungs.items():
                if trial in rung:
                    del self.order[level][bisect_left(self.order[level], rung.pop(trial))]
