"""Policies whose examples have a key that follows from the id: the largest keys are kept."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch

from renate.data.batch import Columns
from renate.memory.base import Moves, Plan, Policy, Values
from renate.memory.random import Floats, Ints, Numbers
from renate.memory.top_keys import TopKeys, check_keys, largest


class Keyed(Policy):
    """Keeps the `capacity` examples with the largest keys.

    The contents depend on the ids alone, not on batches, interruptions or ranks. A shard knows
    every process's keys, since they follow from the ids: after each step it keeps those of its own
    examples that are among the largest of all, so that the shards together are exactly the memory
    that one process would have.

    Args:
        capacity: Most examples to keep.

    Attributes:
        top: The keys of the examples kept.
        whole: Of a shard: the keys of all shards together; None where there is one process.
        heard: Of a shard: the next example's id, by process, as `whole` knows it.
    """

    shared = True

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.numbers = Numbers(self.keys_of)
        self.top = TopKeys(capacity)
        self.whole: TopKeys | None = None
        self.heard: list[int] = []

    @abstractmethod
    def keys_of(self, seed: int, ids: range) -> Floats:
        """Return a key in (0, 1) for each id, float64 [n]; a function of the seed and the id."""

    def begin(self, seed: int, counts: list[int]) -> None:
        """Take the seed; where there are several processes, follow the keys of all from these ids
        on.
        """
        super().begin(seed, counts)
        if len(counts) > 1:
            self.heard = counts
            self.whole = self.whole or TopKeys(self.top.capacity)

    def assign(self, ids: range, columns: Columns, size: int) -> Plan:
        """Decide by keys: examples enter whose keys are among the largest, of a shard among the
        largest of all shards as far as it has heard.
        """
        keys = self.numbers.take(self.seed, ids)
        if self.whole is None:
            return self.top.offer(keys)

        rows = np.flatnonzero(keys > self.whole.least())
        slots, taken = self.top.offer(keys[rows])
        return slots, rows[taken]

    def sync_counts(self, counts: list[int]) -> Moves | None:
        """Of a shard: learn the keys of the ids that were given out since the last call, and let go
        of examples whose keys are no longer among the largest of all.
        """
        assert self.whole is not None
        ranks = len(counts)
        news = [
            self.keys_of(self.seed, range(was, now, ranks))
            for was, now in zip(self.heard, counts, strict=True)
            if now > was
        ]
        if not news:
            return None

        self.whole.offer(np.concatenate(news))
        self.heard = counts

        return self.top.let_go(self.whole.least())

    def values(self) -> Values:
        """Return `key`, float64 [size], of the examples kept."""
        return {"key": self.top.key[: self.top.size]}

    def restore(self, values: Values) -> None:
        """Take back the keys.

        Raises:
            CorruptError: One isn't between 0 and 1.
        """
        check_keys(values["key"])
        self.top.set(values["key"])

    def select(self, values: Values, size: int) -> Ints:
        """Return where the `capacity` largest keys are, int64, ascending."""
        return np.sort(largest(values["key"], self.top.capacity))

    def keep_shard(self, slots: Ints) -> None:
        """Of a shard: keep the keys in some slots, and know those of all slots as the whole
        memory's.
        """
        self.whole = self.top
        self.top = TopKeys(self.whole.capacity)
        self.top.set(self.whole.key[slots])

    def shard(self) -> dict[str, Any]:
        """Return the keys of all shards together, float64, and the next ids by process, as `whole`
        and `heard`; nothing where there is one process.
        """
        if self.whole is None:
            return {}
        keys = self.whole.key[: self.whole.size].copy()
        return {"whole": torch.from_numpy(keys), "heard": self.heard}

    def restore_shard(self, snapshot: dict[str, Any]) -> None:
        """Take back `whole` and `heard`; where there is one process, nothing."""
        if self.whole is not None:
            self.whole.set(snapshot["whole"].numpy())
            self.heard = snapshot["heard"]
