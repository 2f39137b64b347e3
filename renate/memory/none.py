"""Nothing."""

from collections.abc import Callable, Iterator

import numpy as np
from torch import Tensor

from renate.memory.base import Memory, Plan


class NoMemory(Memory):
    """Keeps no example; what a state has of them is left behind."""

    shared = True

    def __init__(self) -> None:
        super().__init__(None, 0)

    def plan(self, n: int, targets: Tensor) -> Plan:
        return np.empty(0, np.int64), np.empty(0, np.int64)

    def save(self) -> Iterator[tuple[str, bytes | None]]:
        yield from ()

    def load(self, read: Callable[[str], bytes | memoryview]) -> None:
        return
