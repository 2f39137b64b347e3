"""The largest keys of all that were ever offered, by slot."""

import numpy as np

from renate.errors import CorruptError
from renate.memory.base import Moves, Plan
from renate.memory.random import Floats, Ints

POOL = 256  # least number of smallest keys to keep at hand


def check_keys(keys: Floats) -> None:
    """Refuse keys that no policy gives.

    Raises:
        CorruptError: One isn't between 0 and 1.
    """
    if not ((keys > 0) & (keys < 1)).all():
        raise CorruptError(
            "memory/index.safetensors: a key isn't between 0 and 1; bring it back from a copy"
        )


class TopKeys:
    """The `capacity` largest of all keys offered; a batch costs O(batch), amortised, at any size.

    A pool holds the smallest keys, sorted: all those up to `bound`. What an offer evicts is always
    in there; when the pool runs dry, one partition of all keys fills it again.

    Args:
        capacity: Most keys to keep.

    Attributes:
        size: Keys that are kept, in the slots 0 … size - 1.
        key: The key in each slot, float64; the first `size` count.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.key: Floats = np.empty(0)
        self._forget_pool()

    def set(self, keys: Floats) -> None:
        """Hold these keys, float64 [size], in these slots."""
        self.key = keys.copy()
        self.size = len(keys)
        self._forget_pool()

    def _forget_pool(self) -> None:
        self.pool: Floats = np.empty(0)
        self.slots: Ints = np.empty(0, np.int64)
        self.bound = -np.inf

    def offer(self, keys: Floats) -> Plan:
        """Return the slots that offered keys take, and which key takes each, int64 [k] both."""
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
        slots = np.concatenate([slots[stays], late_slots])
        rows = np.concatenate([rows[stays], late_rows + fill])

        return slots, rows

    def least(self) -> float:
        """Return the key that an offered one must exceed; -inf where there is room."""
        if self.size < self.capacity:
            return -np.inf
        if not len(self.pool):
            self._fill_pool(0)
        return float(self.pool[0])

    def let_go(self, bound: float) -> Moves:
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
        self.pool = self.pool[count:]
        self.slots = self.slots[count:]
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
        end = self.size + len(keys)
        if end > len(self.key):
            grown = np.empty(min(self.capacity, max(1024, 2 * len(self.key), end)))
            grown[: self.size] = self.key[: self.size]
            self.key = grown

        self.key[self.size : end] = keys
        self.size = end
        self._forget_pool()

    def _replace(self, keys: Floats) -> Plan:
        if not len(self.pool):
            self._fill_pool(0)

        rows = (keys > self.pool[0]).nonzero()[0]
        if len(rows) == 1:
            return self._replace_one(keys, rows)
        if len(rows) > self.capacity:
            rows = rows[largest(keys[rows], self.capacity)]

        wanted = len(rows)
        if not wanted:
            return rows, rows

        if len(self.pool) < wanted:
            self._fill_pool(wanted)

        # Of the members and the candidates together, the `wanted` smallest leave; the members
        # among them head the pool.
        offered = keys[rows]
        together = np.concatenate([self.pool[:wanted], offered])
        leaving = np.argpartition(together, wanted - 1)[:wanted]
        entering = np.ones(wanted, bool)
        entering[leaving[leaving >= wanted] - wanted] = False
        rows = rows[entering]
        offered = offered[entering]

        taken = self.slots[: len(rows)]
        self.key[taken] = offered
        self._update_pool(len(rows), offered, taken)

        return taken, rows

    def _replace_one(self, keys: Floats, rows: Ints) -> Plan:
        """What `_replace` does for a single candidate, which evicts the smallest key."""
        key = keys[rows[0]]
        taken = self.slots[:1].copy()
        self.key[taken] = key

        if key > self.bound:
            self.pool = self.pool[1:]
            self.slots = self.slots[1:]
            return taken, rows

        at = int(self.pool.searchsorted(key)) - 1
        self.pool[:at] = self.pool[1 : at + 1]
        self.slots[:at] = self.slots[1 : at + 1]
        self.pool[at] = key
        self.slots[at] = taken[0]

        return taken, rows

    def _update_pool(self, left: int, keys: Floats, slots: Ints) -> None:
        """Let the first ones leave the pool, and those of new keys enter that are small enough."""
        self.pool = self.pool[left:]
        self.slots = self.slots[left:]
        small = (keys <= self.bound).nonzero()[0]
        if not len(small):
            return

        small = small[keys[small].argsort()]
        new = self.pool.searchsorted(keys[small]) + np.arange(len(small))
        old = np.ones(len(self.pool) + len(small), bool)
        old[new] = False

        pool = np.empty(len(old))
        pool[old] = self.pool
        pool[new] = keys[small]
        at = np.empty(len(old), np.int64)
        at[old] = self.slots
        at[new] = slots[small]
        self.pool = pool
        self.slots = at

    def _fill_pool(self, least: int) -> None:
        members = self.key[: self.size]
        count = min(self.size, max(POOL, self.size // 64, 2 * least))
        chosen: Ints = np.arange(self.size)
        self.bound = np.inf
        if count < self.size:
            chosen = np.argpartition(members, count - 1)[:count]

        chosen = chosen[np.argsort(members[chosen])]
        self.pool = members[chosen]
        self.slots = chosen.astype(np.int64)
        if count < self.size:
            self.bound = float(self.pool[-1])


def largest(keys: Floats, count: int) -> Ints:
    """Return where the `count` largest of more keys are, int64 [count], in no order."""
    return np.argpartition(keys, len(keys) - count)[len(keys) - count :]
