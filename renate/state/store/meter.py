"""How far transfers are: of all that go one way at a time, since blobs travel side by side."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from renate.object_store.multipart import PART, Moved, uncounted

Show = Callable[[int, int, str], None]  # bytes done, bytes in all, text

LARGE = 32 << 20  # bytes; less than this is over before it is read
PERIOD = 0.2  # seconds between two lines


def silent(done: int, total: int, text: str) -> None:
    """Show nothing."""


class Meter:
    """Counts the large objects that go up, or down, from the first until none is under way.

    Args:
        verb: What is being done.

    Attributes:
        show: Takes the progress, from any thread.
    """

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.show: Show = silent
        self.lock = threading.Lock()
        self.shown = 0.0
        self.moving: dict[str, int] = {}  # key -> bytes that have moved
        self.sizes: dict[str, int] = {}
        self.under_way = 0

    @contextmanager
    def counting(self, key: str, size: int) -> Iterator[Moved]:
        """Count an object of several parts; yields a function that takes the bytes that moved.
        Again is from 0.
        """
        if size <= PART:
            yield uncounted
            return

        with self.lock:
            self.under_way += 1
            self.moving[key] = 0
            self.sizes[key] = size

        try:
            yield lambda count: self._moved(key, count)
        finally:
            with self.lock:
                self.under_way -= 1
                if not self.under_way:
                    self.moving = {}
                    self.sizes = {}

    def _moved(self, key: str, count: int) -> None:
        with self.lock:
            self.moving[key] += count
            done = sum(self.moving.values())
            total = sum(self.sizes.values())
            now = time.monotonic()
            if total < LARGE or (now - self.shown < PERIOD and done < total):
                return
            self.shown = now

        self.show(done, total, f"{self.verb} {done / 1e6:.0f} of {total / 1e6:.0f} MB")
