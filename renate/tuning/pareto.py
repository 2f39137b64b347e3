"""Several objectives: which trials no other beats in all of them."""

from collections.abc import Sequence
from typing import Any

Point = tuple[float, ...]
Array = Any  # numpy's, which is imported once there are points


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is at least as small as `b` everywhere and smaller somewhere."""
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def ranks(points: Sequence[Point]) -> list[int]:
    """How many others dominate each point; 0 is the Pareto front. Of one objective, how many are
    smaller.

    Fonseca & Fleming, 1993, Genetic algorithms for multiobjective optimization, section 2.
    """
    return [sum(dominates(other, point) for other in points) for point in points]


def front(points: Sequence[Point]) -> list[bool]:
    """Whether no other dominates each point: its rank is 0. O(n log n + n · front)."""
    found = [False] * len(points)
    ahead: list[Point] = []
    # What dominates a point stands before it in this order
    for place in sorted(range(len(points)), key=lambda place: points[place]):
        point = points[place]
        if ahead and point == ahead[-1]:
            found[place] = True
        elif not any(dominates(other, point) for other in ahead):
            found[place] = True
            ahead.append(point)

    return found


class Ranking:
    """Points of trials and their `ranks`, kept as points come and go: O(n) each, where ranking all
    of them anew takes O(n²).
    """

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}  # trial -> its row
        self.points: Array = None  # float64 [objectives, room]
        self.ranks: Array = None  # int64 [room]
        self.trials: Array = None  # int64 [room]

    def __len__(self) -> int:
        return len(self.rows)

    def put(self, trial: int, point: Point) -> None:
        """Take a trial's point, in place of the one that it had."""
        self.drop(trial)
        count = len(self.rows)
        self._make_room(count, len(point))
        above, below = self._compared(point)

        self.points[:, count] = point
        self.trials[count] = trial
        self.ranks[count] = above.sum()
        self.ranks[:count][below] += 1
        self.rows[trial] = count

    def drop(self, trial: int) -> None:
        """Forget a trial's point, if it has one."""
        row = self.rows.pop(trial, None)
        if row is None:
            return

        last = len(self.rows)
        point = self.points[:, row].copy()
        if row != last:
            for column in (*self.points, self.ranks, self.trials):
                column[row] = column[last]
            self.rows[int(self.trials[row])] = row

        _, below = self._compared(point)
        self.ranks[:last][below] -= 1

    def ahead_of(self, trial: int) -> int:
        """How many trials have a smaller rank."""
        ranks = self.ranks[: len(self.rows)]
        return int((ranks < ranks[self.rows[trial]]).sum())

    def best(self, count: int) -> list[int]:
        """So many trials of the smallest ranks, of equal ones those that came first."""
        import numpy as np

        size = len(self.rows)
        order = np.lexsort((self.trials[:size], self.ranks[:size]))[:count]
        found: list[int] = self.trials[order].tolist()
        return found

    def _compared(self, point: Any) -> tuple[Array, Array]:
        """Which rows dominate a point, and which it dominates, bool [n] both."""
        import numpy as np

        size = len(self.rows)
        smaller = np.ones(size, bool)
        larger = np.ones(size, bool)
        # One objective after the other: numpy's `all` over a few columns takes ten times as long
        for column, own in zip(self.points, point, strict=True):
            smaller &= column[:size] <= own
            larger &= column[:size] >= own

        return smaller & ~larger, larger & ~smaller

    def _make_room(self, count: int, objectives: int) -> None:
        import numpy as np

        if self.points is not None and count < len(self.trials):
            return

        room = max(64, 2 * count)
        points = np.empty((objectives, room))
        ranks_ = np.zeros(room, np.int64)
        trials = np.zeros(room, np.int64)
        if count:
            points[:, :count] = self.points[:, :count]
            ranks_[:count] = self.ranks[:count]
            trials[:count] = self.trials[:count]

        self.points = points
        self.ranks = ranks_
        self.trials = trials
