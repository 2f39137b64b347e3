"""Slots whose rows are of different lengths."""

from collections.abc import Callable

import torch
from torch import Tensor

from renate.data.ragged import Number, Ragged

SMALLEST = 1024  # values of a first buffer


class RaggedSlots:
    """A ragged column that is written slot by slot.

    Values are only ever appended; a slot that is written again points behind the others. Where the
    buffer is full, what slots still point to is copied to a new one, twice as large as it needs. So
    a write costs in proportion to what it brings, and the values of rows that were taken before
    stay as they were.

    Args:
        make: Returns an uninitialised tensor of so many values.
        padding: See `Ragged`.
    """

    def __init__(self, make: Callable[[int], Tensor], padding: Number) -> None:
        self.make = make
        self.padding = padding
        self.values = make(0)
        self.used = 0
        self.starts = torch.empty(0, dtype=torch.int64)
        self.lengths = torch.empty(0, dtype=torch.int64)

    def reserve(self, rows: int, make: Callable[[int], Tensor]) -> None:
        """Make room for slots up to `rows`, empty ones; what is stored stays."""
        more = rows - len(self.lengths)
        self.make = make
        self.starts = torch.cat([self.starts, torch.zeros(more, dtype=torch.int64)])
        self.lengths = torch.cat([self.lengths, torch.zeros(more, dtype=torch.int64)])

    def all(self) -> Ragged:
        """Return every slot, without a copy."""
        return Ragged(self.values, self.starts, self.lengths, self.padding)

    def put(self, slots: Tensor, rows: Ragged) -> None:
        """Write rows into slots, int64 [k], unique."""
        new = rows.pack()
        if self.used + len(new.values) > len(self.values):
            # What is about to be overwritten needs no place in the new buffer
            self.lengths = self.lengths.index_fill(0, slots, 0)
            self._renew(len(new.values))

        self.values[self.used : self.used + len(new.values)] = new.values
        self.starts.index_copy_(0, slots, new.starts + self.used)
        self.lengths.index_copy_(0, slots, new.lengths)
        self.used += len(new.values)

    def _renew(self, more: int) -> None:
        live = self.all().pack()
        self.used = len(live.values)
        self.values = self.make(max(SMALLEST, 2 * (self.used + more)))
        self.values[: self.used] = live.values
        self.starts = live.starts

    def move(self, origin: Tensor, to: Tensor) -> None:
        """Let slots hold what others do, int64 [k] both."""
        self.starts.index_copy_(0, to, self.starts.index_select(0, origin))
        self.lengths.index_copy_(0, to, self.lengths.index_select(0, origin))
