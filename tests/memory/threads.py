"""Ranks that are threads of this process: what memories say to each other, without processes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

from torch import Tensor

from renate.ranks import Ranks


class ThreadRanks(Ranks):
    """One of several threads that call the same methods in the same order."""

    def __init__(self, rank: int, size: int, common: dict[str, Any]) -> None:
        super().__init__(rank, size)
        object.__setattr__(self, "common", common)

    def gather(self, own: Any) -> list[Any]:
        common: dict[str, Any] = self.common  # type: ignore[attr-defined]
        common["said"][self.rank] = own
        common["barrier"].wait(30)
        found = list(common["said"])
        common["barrier"].wait(30)
        return found

    def send(self, tensor: Tensor) -> None:
        self.common["pipes"][self.rank].put(tensor.clone())  # type: ignore[attr-defined]

    def receive(self, tensor: Tensor, rank: int) -> Tensor:
        return tensor.copy_(self.common["pipes"][rank].get(timeout=30))  # type: ignore[attr-defined]


def together(size: int, run: Callable[[Ranks], Any]) -> list[Any]:
    """Run a function as each of several ranks; return what each returned."""
    common = {
        "said": [None] * size,
        "barrier": threading.Barrier(size),
        "pipes": [Queue() for _ in range(size)],
    }
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run, ThreadRanks(rank, size, common)) for rank in range(size)]
        return [future.result() for future in futures]
