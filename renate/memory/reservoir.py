"""A uniform sample of everything that was ever offered."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.errors import CorruptError, StateError
from renate.memory.base import Memory, Plan
from renate.memory.random import KEYS, Floats, Ints, Numbers, uniform

POOL = 256  # least number of smallest keys to keep at hand


class Reservoir(Memory):
    """Keeps the examples with the largest keys, each example's key being a random number by its id.

    The same law as Vitter's algorithm R (1985): every set of `capacity` examples is equally likely. Unlike there, the
    contents depend on the ids alone, not on batches, interruptions or ranks. A shard knows every process's keys, which
    follow from the ids: it keeps those of its own examples that are among the largest of all, so that the shards
    together are exactly the memory that one process would have.
    """

    shared = True

    def __init__(self, capacity: int, max_ram: int) -> None:
        super().__init__(capacity, max_ram)
        self.key_numbers = Numbers(KEYS)
        self.top = TopKeys(capacity)
        self.whole: TopKeys | None = None  # of a shard: the keys of all shards together
        self.heard: list[int] = []

    def enter(self, count: int, draws: int) -> None:
        super().enter(count, draws)
        if self.ranks > 1:
            self.heard = [count + rank for rank in range(self.ranks)]
            self.whole = self.whole or TopKeys(self.top.capacity)

    def plan(self, n: int, targets: Tensor) -> Plan:
        keys = self.key_numbers.take(self.seed, self.count, n, self.ranks)
        if self.whole is None:
            return self.top.offer(keys)
        rows = np.flatnonzero(keys > self.whole.least())
        slots, taken = self.top.offer(keys[rows])
        return slots, rows[taken]

    def hear(self, counts: list[int]) -> None:
        assert self.whole is not None
        news = [(was, (now - was) // self.ranks) for was, now in zip(self.heard, counts, strict=True) if now > was]
        if news:
            self.whole.offer(np.concatenate([uniform(self.seed, KEYS, was, n, self.ranks) for was, n in news]))
            self.heard = counts
            self.drop(*self.top.let_go(self.whole.least()))

    def deal(self, slots: Ints) -> None:
        self.whole, self.top = self.top, TopKeys(self.top.capacity)
        self.top.set(self.whole.key[slots])

    def snapshot(self) -> dict[str, Any]:
        found = super().snapshot()
        if self.whole is not None:
            found |= {"whole": torch.from_numpy(self.whole.key[: self.whole.size].copy()), "heard": self.heard}
        return found

    def revert(self, snapshot: dict[str, Any]) -> None:
        super().revert(snapshot)
        if self.whole is not None:
            self.whole.set(snapshot["whole"].numpy())
            self.heard = snapshot["heard"]

    def keys(self) -> Floats:
        return self.top.key[: self.top.size]

    def restore(self, keys: Floats | None, capacity: int | None) -> Ints | None:
        if keys is None or capacity is None:
            raise CorruptError("memory/index.safetensors: a reservoir has a key per slot, and a capacity")
        assert self.capacity is not None
        if self.capacity > capacity and self.count > capacity and len(keys) >= capacity:
            raise StateError(
                f"memory.capacity={self.capacity}: the state's memory has been full at {capacity}, and what it let go "
                "can't come back; a smaller capacity is possible"
            )
        keep = None
        if len(keys) > self.capacity:
            keep = np.sort(np.argpartition(keys, len(keys) - self.capacity)[len(keys) - self.capacity :])
            keys = keys[keep]
        self.top.set(keys)
        return keep


class TopKeys:
    """The `capacity` largest of all keys offered, by slot; a batch costs O(batch), amortised, at any capacity.

    A pool holds the smallest keys, sorted: all those up to `bound`. What an offer evicts is always in there; when the
    pool runs dry, one partition of all keys fills it again.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size = capacity, 0
        self.key: Floats = np.empty(0)
        self._forget_pool()

    def set(self, keys: Floats) -> None:
        self.key, self.size = keys.copy(), len(keys)
        self._forget_pool()

    def _forget_pool(self) -> None:
        self.pool: Floats = np.empty(0)
        self.slots: Ints = np.empty(0, np.int64)
        self.bound = -np.inf

    def offer(self, keys: Floats) -> Plan:
        """Return the slots that offered keys take and which offered key each takes, int64 [k] both."""
        if self.size == self.capacity:
            return self._replace(keys)

        fill = min(len(keys), self.capacity - self.size)
        slots: Ints = np.arange(self.size, self.size + fill)
        rows: Ints = np.arange(fill)
        self._append(keys[:fill])
        if fill == len(keys):
            return slots, rows
        late_slots, late_rows = self._replace(keys[fill:])
        # A slot filled above may have been taken over at once: the later example has it.
        stays = ~np.isin(slots, late_slots)
        return np.concatenate([slots[stays], late_slots]), np.concatenate([rows[stays], late_rows + fill])

    def least(self) -> float:
        """Return the smallest key kept, which an offered one must exceed; -inf where there is room."""
        if self.size < self.capacity:
            return -np.inf
        if not len(self.pool):
            self._fill_pool(0)
        return float(self.pool[0])

    def let_go(self, bound: float) -> tuple[Ints, Ints, int]:
        """Drop all keys below a bound; the last slots move into the gaps.

        Returns:
            The slots that move, those they move to, int64 [k] both, and how many there are then.
        """
        if not len(self.pool) and self.size:
            self._fill_pool(0)
        count = int(np.searchsorted(self.pool, bound))
        if not count:
            return np.empty(0, np.int64), np.empty(0, np.int64), self.size
        gaps = np.sort(self.slots[:count])
        self.pool, self.slots = self.pool[count:], self.slots[count:]
        if not len(self.pool):  # there may be more below the bound than the pool had
            gaps = np.flatnonzero(self.key[: self.size] < bound)
            self._forget_pool()
        self.size -= len(gaps)
        to = gaps[gaps < self.size]
        beyond: Ints = np.arange(self.size, self.size + len(gaps))
        origin = beyond[~np.isin(beyond, gaps)]
        self.key[to] = self.key[origin]
        moved = self.slots >= self.size
        self.slots[moved] = to[np.searchsorted(origin, self.slots[moved])]
        return origin, to, self.size

    def _append(self, keys: Floats) -> None:
        if self.size + len(keys) > len(self.key):
            grown = np.empty(min(self.capacity, max(1024, 2 * len(self.key), self.size + len(keys))))
            grown[: self.size] = self.key[: self.size]
            self.key = grown
        self.key[self.size : self.size + len(keys)] = keys
        self.size += len(keys)
        self._forget_pool()

    def _replace(self, keys: Floats) -> Plan:
        if not len(self.pool):
            self._fill_pool(0)
        rows = (keys > self.pool[0]).nonzero()[0]
        if len(rows) == 1:
            return self._replace_one(keys, rows)
        if len(rows) > self.capacity:
            rows = rows[np.argpartition(keys[rows], len(rows) - self.capacity)[len(rows) - self.capacity :]]
        wanted = len(rows)
        if not wanted:
            return rows, rows
        if len(self.pool) < wanted:
            self._fill_pool(wanted)
        # Of the members and the candidates together, the `wanted` smallest leave; the members among them head the pool.
        offered = keys[rows]
        together = np.concatenate([self.pool[:wanted], offered])
        leaving = np.argpartition(together, wanted - 1)[:wanted]
        entering = np.ones(wanted, bool)
        entering[leaving[leaving >= wanted] - wanted] = False
        rows, offered = rows[entering], offered[entering]
        taken = self.slots[: len(rows)]
        self.key[taken] = offered
        self._update_pool(len(rows), offered, taken)
        return taken, rows

    def _replace_one(self, keys: Floats, rows: Ints) -> Plan:
        """What `_replace` does for a single candidate, which evicts the smallest key."""
        key, taken = keys[rows[0]], self.slots[:1].copy()
        self.key[taken] = key
        if key > self.bound:
            self.pool, self.slots = self.pool[1:], self.slots[1:]
            return taken, rows

        at = int(self.pool.searchsorted(key)) - 1
        self.pool[:at], self.slots[:at] = self.pool[1 : at + 1], self.slots[1 : at + 1]
        self.pool[at], self.slots[at] = key, taken[0]
        return taken, rows

    def _update_pool(self, left: int, keys: Floats, slots: Ints) -> None:
        self.pool, self.slots = self.pool[left:], self.slots[left:]
        small = (keys <= self.bound).nonzero()[0]
        if not len(small):
            return

        small = small[keys[small].argsort()]
        new = self.pool.searchsorted(keys[small]) + np.arange(len(small))
        old = np.ones(len(self.pool) + len(small), bool)
        old[new] = False
        pool, at = np.empty(len(old)), np.empty(len(old), np.int64)
        pool[old], at[old] = self.pool, self.slots
        pool[new], at[new] = keys[small], slots[small]
        self.pool, self.slots = pool, at

    def _fill_pool(self, least: int) -> None:
        members: Any = self.key[: self.size]
        count = min(self.size, max(POOL, self.size // 64, 2 * least))
        chosen = np.argpartition(members, count - 1)[:count] if count < self.size else np.arange(self.size)
        chosen = chosen[np.argsort(members[chosen])]
        self.pool, self.slots = members[chosen].copy(), chosen.astype(np.int64)
        self.bound = self.pool[-1] if count < self.size else np.inf
