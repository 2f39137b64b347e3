"""The examples with the largest keys of each class, spread over the classes evenly."""

from heapq import heapify, heappop, heappush

import numpy as np

from renate.memory.base import Plan
from renate.memory.random import CLASSES, Floats, Ints, uniform


class Quotas:
    """The `capacity` examples that stand at the smallest places within their classes.

    The example with the largest key of a class stands at place 0. Of equal places those of the
    classes with the smaller random number are kept. An example that isn't kept never will be, for
    whatever comes can only move it to a later place; so a heap per class is all there is to hold. A
    batch costs O(batch + classes), and O(log capacity + classes) more for each example that enters.

    Args:
        capacity: Most examples to keep.

    Attributes:
        seed: Of the classes' random numbers.
        size: Examples that are kept, in the slots 0 … size - 1.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.seed = 0
        self._forget()

    def _forget(self) -> None:
        # By class: (key, slot) of its examples, how many they are, the smallest key (infinity where
        # there is none), and the random number that decides which class has one more.
        self.heaps: list[list[tuple[float, int]]] = []
        self.counts: Ints = np.empty(0, np.int64)
        self.least: Floats = np.empty(0)
        self.order: Floats = np.empty(0)
        self.size = 0

    def set(self, keys: Floats, classes: Ints) -> None:
        """Hold these examples in these slots: key, float64, and class, int64, [size] both."""
        self._forget()
        self._know(classes)
        self.size = len(keys)
        for slot, (key, number) in enumerate(zip(keys.tolist(), classes.tolist(), strict=True)):
            self.heaps[number].append((key, slot))

        for number, heap in enumerate(self.heaps):
            heapify(heap)
            self.counts[number] = len(heap)
            self.least[number] = smallest(heap)

    def held(self) -> tuple[Floats, Ints]:
        """Return key and class in each slot, [size] both."""
        keys = np.empty(self.size)
        classes = np.empty(self.size, np.int64)

        for number, heap in enumerate(self.heaps):
            slots = [slot for _, slot in heap]
            keys[slots] = [key for key, _ in heap]
            classes[slots] = number

        return keys, classes

    def offer(self, keys: Floats, classes: Ints) -> Plan:
        """Return the slots that offered examples take, and which of them takes each, int64 [k]."""
        self._know(classes)
        rows: Ints = np.arange(len(keys))
        if self.size == self.capacity:
            rows = np.flatnonzero(keys > self._bounds()[classes])

        taken: dict[int, int] = {}
        for row in rows.tolist():
            slot = self._enter(float(keys[row]), int(classes[row]))
            if slot is not None:
                taken[slot] = row  # of two that took a slot in turn, the later one has it

        return np.array([*taken], np.int64), np.array([*taken.values()], np.int64)

    def best(self, keys: Floats, classes: Ints) -> Ints:
        """Return which `capacity` of more examples to keep, int64 [capacity], ascending."""
        self._know(classes)
        by_class = np.lexsort((-keys, classes))
        number = classes[by_class]
        place = np.arange(len(keys)) - np.searchsorted(number, number)
        first = np.argsort(place + self.order[number], kind="stable")[: self.capacity]
        return np.sort(by_class[first])

    def _know(self, classes: Ints) -> None:
        """Make room for classes that are new."""
        known = len(self.heaps)
        new = int(classes.max(initial=-1)) + 1 - known
        if new <= 0:
            return

        self.heaps += [[] for _ in range(new)]
        self.counts = np.append(self.counts, np.zeros(new, np.int64))
        self.least = np.append(self.least, np.full(new, np.inf))
        self.order = uniform(CLASSES, self.seed, range(known + new))

    def _bounds(self) -> Floats:
        """Return the key that an example must exceed, by class; none where a class gets more."""
        places = self.counts + self.order
        return np.where(places + 1 > places.max(), self.least, -np.inf)

    def _enter(self, key: float, number: int) -> int | None:
        """Return the slot that an example of a class takes, if it does."""
        self.counts[number] += 1
        if self.size < self.capacity:
            slot = self.size
            self.size += 1
        else:
            fullest = int((self.counts + self.order).argmax())
            self.counts[fullest] -= 1
            if fullest == number and key < self.least[number]:
                return None

            _, slot = heappop(self.heaps[fullest])
            self.least[fullest] = smallest(self.heaps[fullest])

        heappush(self.heaps[number], (key, slot))
        self.least[number] = smallest(self.heaps[number])

        return slot


def smallest(heap: list[tuple[float, int]]) -> float:
    """Return the smallest key of a heap; infinity where it is empty."""
    return heap[0][0] if heap else np.inf
