"""A memory as one would write it by hand, which takes the draws and slots that ours took."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from renate.data.batch import Batch, Columns
from renate.memory.store.memory import Memory


@dataclass
class Recorded:
    """What our memory drew and which slots it gave to which rows, in the order of the calls.

    Attributes:
        drawn: Past examples of a draw: what ours fetches together is taken apart to so many.
    """

    drawn: int
    draws: list[Tensor] = field(default_factory=list)
    slots: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def listen(self, memory: Memory) -> None:
        assign = memory.policy.assign
        sample = memory.sample

        def assigned(ids: range, columns: Columns, size: int) -> Any:
            slots, rows = assign(ids, columns, size)
            self.slots.append((torch.tensor(slots), torch.tensor(rows)))
            return slots, rows

        def sampled(n: int) -> Batch:
            batch = sample(n)
            self.draws += batch.slots.clone().split(self.drawn)
            return batch

        memory.policy.assign = assigned  # type: ignore[method-assign]
        memory.sample = sampled  # type: ignore[method-assign]


class Buffer:
    """A reservoir as one would write it by hand: a tensor per column, algorithm R for a batch at a
    time.

    The random numbers are drawn and then thrown away for what was recorded: the same work, the same
    weights as ours.
    """

    def __init__(self, recorded: Recorded, device: torch.device, capacity: int) -> None:
        self.draws = iter(recorded.draws)
        self.slots = iter(recorded.slots)
        self.device = device
        self.capacity = capacity
        self.columns: list[Tensor] = []
        self.seen = 0
        self.choose: Callable[[list[Tensor]], Any] = self.algorithm_r

    def add_all(self, kept: Columns) -> None:
        """Begin with what a memory has."""
        self.columns = [column.clone().to(self.device) for column in kept.values()]
        self.seen = len(next(iter(kept.values()))) if kept else 0

    def draw(self, n: int) -> Tensor:
        """Return slots of so many past examples."""
        torch.randint(min(self.seen, self.capacity), (n,))
        return next(self.draws).to(self.device)

    def sample(self, n: int) -> list[Tensor]:
        index = self.draw(n)
        return [column.index_select(0, index) for column in self.columns]

    def algorithm_r(self, columns: list[Tensor]) -> None:
        """Choose which rows of a batch are kept, and where; called before `seen` counts them."""
        n = len(columns[0])
        if self.seen >= self.capacity:
            chosen = (torch.rand(n) * torch.arange(self.seen + 1, self.seen + n + 1)).long()
            (chosen < self.capacity).nonzero()

    def add(self, *columns: Tensor) -> None:
        if not self.columns:
            self.columns = [
                torch.empty((self.capacity, *c.shape[1:]), dtype=c.dtype, device=c.device)
                for c in columns
            ]

        self.choose([*columns])
        self.seen += len(columns[0])
        slots, rows = (part.to(self.device) for part in next(self.slots))
        if len(slots):
            for kept, column in zip(self.columns, columns, strict=True):
                kept.index_copy_(0, slots, column.index_select(0, rows))
