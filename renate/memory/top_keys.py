"""The largest keys of all that were ever offered, by slot."""

from heapq import heappop, heappush

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

    The smallest keys, all those up to `bound`, are at hand: sorted in a pool, and what came since
    it was filled in a heap, since to insert it into the pool would move all that is in there. What
    an offer evicts is always among them; when both run dry, one partition of all keys fills the
    pool again.

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
        self.late: list[tuple[float, int]] = []  # a heap of (key, slot)
        self.bound = -np.inf
        self.known_least: float | None = None

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
        return self._smallest()

    def let_go(self, bound: float) -> Moves:
        """Drop all keys below a bound; the last slots move into the gaps.

        Returns:
            The slots that move, those they move to, int64 [k] both, and how many there are then.
        """
        if not self.size or bound == -np.inf or self._smallest() >= bound:
            return np.empty(0, np.int64), np.empty(0, np.int64), self.size

        self.known_least = None
        late = []
        while self.late and self.late[0][0] < bound:
            late.append(heappop(self.late)[1])

        count = int(np.searchsorted(self.pool, bound))
        gaps = np.sort(np.append(self.slots[:count], np.array(late, np.int64)))
        self._leave(count)
        if not self._at_hand:  # there may be more below the bound than was at hand
            gaps = np.flatnonzero(self.key[: self.size] < bound)
            self._forget_pool()

        self.size -= len(gaps)
        to = gaps[gaps < self.size]
        beyond: Ints = np.arange(self.size, self.size + len(gaps))
        origin = beyond[~np.isin(beyond, gaps)]
        self.key[to] = self.key[origin]

        moved = self.slots >= self.size
        self.slots[moved] = to[np.searchsorted(origin, self.slots[moved])]
        if self.late and len(origin):
            now = dict(zip(origin.tolist(), to.tolist(), strict=True))
            self.late = [(key, now.get(slot, slot)) for key, slot in self.late]

        return origin, to, self.size

    def _append(self, keys: Floats) -> None:
        end = self.size + len(keys)
        if end > len(self.key):
            grown = np.empty(min(self.capacity, max(1024, 2 * len(self.key), end)))
            grown[: self.size] = self.key[: self.size]
            self.key = grown

        self.key[self.size : end] = keys
        slots: Ints = np.arange(self.size, end)
        self.size = end
        self._note(keys, slots)

    def _replace(self, keys: Floats) -> Plan:
        rows = (keys > self._smallest()).nonzero()[0]
        if len(rows) == 1:
            return self._replace_one(keys, rows)
        if len(rows) > self.capacity:
            rows = rows[largest(keys[rows], self.capacity)]

        wanted = len(rows)
        if not wanted:
            return rows, rows

        if self._at_hand < wanted:
            self._fill_pool(wanted)

        # Of the members and the candidates together, the `wanted` smallest leave.
        offered = keys[rows]
        together = np.concatenate([self._first(wanted), offered])
        leaving = np.argpartition(together, wanted - 1)[:wanted]
        entering = np.ones(wanted, bool)
        entering[leaving[leaving >= wanted] - wanted] = False
        rows = rows[entering]
        offered = offered[entering]

        taken = self._evict(len(rows))
        self.key[taken] = offered
        self._note(offered, taken)

        return taken, rows

    def _replace_one(self, keys: Floats, rows: Ints) -> Plan:
        """What `_replace` does for a single candidate, which evicts the smallest key."""
        taken = self._evict(1)
        offered = keys[rows]
        self.key[taken] = offered
        self._note(offered, taken)
        return taken, rows

    @property
    def _at_hand(self) -> int:
        """How many of the smallest keys are known."""
        return len(self.pool) + len(self.late)

    def _smallest(self) -> float:
        """The smallest key that is kept, which most offers ask for without changing it."""
        if self.known_least is None:
            self.known_least = self._look_for_smallest()
        return self.known_least

    def _look_for_smallest(self) -> float:
        if not self._at_hand:
            self._fill_pool(0)
        if not len(self.pool):
            return self.late[0][0]

        least = float(self.pool[0])
        if self.late:
            least = min(least, self.late[0][0])
        return least

    def _first(self, count: int) -> Floats:
        """The smallest keys, as many as are asked for, in no order."""
        heads = self.pool[:count]
        edge = np.inf
        if len(heads) == count:
            edge = float(heads[-1])

        late: list[tuple[float, int]] = []
        while self.late and len(late) < count and self.late[0][0] < edge:
            late.append(heappop(self.late))

        if not late:
            return heads

        for entry in late:
            heappush(self.late, entry)

        both = np.concatenate([heads, [key for key, _ in late]])
        return np.partition(both, count - 1)[:count]

    def _evict(self, count: int) -> Ints:
        """The slots of the smallest keys, in the order of the keys, which are forgotten."""
        self.known_least = None
        if not self.late or (len(self.pool) >= count and self.pool[count - 1] <= self.late[0][0]):
            slots = self.slots[:count].copy()
            self._leave(count)
            return slots

        found: list[int] = []
        from_pool = 0
        while len(found) < count:
            in_pool = from_pool < len(self.pool)
            if self.late and (not in_pool or self.late[0][0] < self.pool[from_pool]):
                found.append(heappop(self.late)[1])
            else:
                found.append(int(self.slots[from_pool]))
                from_pool += 1

        self._leave(from_pool)

        return np.array(found, np.int64)

    def _leave(self, count: int) -> None:
        """Forget the first ones of the pool."""
        self.pool = self.pool[count:]
        self.slots = self.slots[count:]

    def _note(self, keys: Floats, slots: Ints) -> None:
        """Know those of new keys that are among the smallest."""
        small = (keys <= self.bound).nonzero()[0]
        if not len(small):
            return
        if len(self.late) + len(small) > max(POOL, self.size // 64):
            self._forget_pool()
            return

        self.known_least = None
        for key, slot in zip(keys[small].tolist(), slots[small].tolist(), strict=True):
            heappush(self.late, (key, slot))

    def _fill_pool(self, least: int) -> None:
        members = self.key[: self.size]
        count = min(self.size, max(POOL, self.size // 64, 2 * least))
        self.late = []
        self.bound = np.inf
        if count < self.size:
            chosen: Ints = np.argpartition(members, count - 1)[:count]
        else:
            chosen = np.arange(self.size)

        chosen = chosen[np.argsort(members[chosen])]
        self.pool = members[chosen]
        self.slots = chosen.astype(np.int64)
        if count < self.size:
            self.bound = float(self.pool[-1])


def largest(keys: Floats, count: int) -> Ints:
    """Return where the `count` largest of more keys are, int64 [count], in no order."""
    return np.argpartition(keys, len(keys) - count)[len(keys) - count :]
