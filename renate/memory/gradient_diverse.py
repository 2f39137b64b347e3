"""Examples whose gradients differ."""

import numpy as np

from renate.data.batch import Columns
from renate.errors import CorruptError
from renate.memory.base import Plan, Policy, Values
from renate.memory.random import CHOICES, SWAPS, Floats, Ints, uniform


class GradientDiverse(Policy):
    """Keeps examples whose gradients point apart, by the scores that an updater gives them.

    Aljundi et al., 2019, https://arxiv.org/abs/1903.08671, algorithm 2: a score is the largest
    cosine with others' gradients, plus 1. Once all slots are taken, an example enters only with a
    score below 1; one kept is drawn in proportion to its score C, and gives way to the new one of
    score c with probability C / (C + c).

    Args:
        capacity: Most examples to keep.
    """

    needs = ("score",)

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.scores: Floats = np.empty(0)

    def assign(self, ids: range, columns: Columns, size: int) -> Plan:
        """Decide by the column `score`, [n], one example after the other."""
        assert self.capacity is not None
        offered = columns["score"].detach().double().cpu().numpy()
        choices = uniform(CHOICES, self.seed, ids)
        swaps = uniform(SWAPS, self.seed, ids)
        fill = min(len(offered), self.capacity - size)
        self.scores = np.concatenate([self.scores[:size], offered[:fill]])
        taken = {size + row: row for row in range(fill)}

        for row in range(fill, len(offered)):
            if offered[row] >= 1:
                continue

            shares = self.scores.cumsum()
            if shares[-1] <= 0:  # all point away from all others
                continue

            slot = int(np.searchsorted(shares, choices[row] * shares[-1], side="right"))
            slot = min(slot, len(shares) - 1)
            score = self.scores[slot]
            if swaps[row] * (score + offered[row]) < score:
                self.scores[slot] = offered[row]
                taken[slot] = row  # of two that took a slot in turn, the later one has it

        return np.array([*taken], np.int64), np.array([*taken.values()], np.int64)

    def values(self) -> Values:
        """Return `score`, float64 [size], of the examples kept."""
        return {"score": self.scores}

    def restore(self, values: Values) -> None:
        """Take back the scores.

        Raises:
            CorruptError: One isn't from 0 to 2.
        """
        scores = values["score"]
        if not ((scores >= -1e-6) & (scores <= 2 + 1e-6)).all():
            where = "memory/index.safetensors"
            raise CorruptError(f"{where}: a score isn't from 0 to 2; bring it back from a copy")

        self.scores = scores.copy()

    def select(self, values: Values, size: int) -> Ints:
        """Return where the `capacity` smallest scores are, int64, ascending."""
        return np.sort(np.argsort(values["score"], kind="stable")[: self.capacity])
