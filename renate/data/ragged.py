"""Rows of different lengths, as one tensor of all their values and where each row lies in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Number = int | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """A column whose rows have lengths of their own: tokens of texts, steps of time series.

    Rows may lie anywhere in `values`, so that taking some of them copies nothing. `pack` brings
    them together, one after the other.

    Attributes:
        values: [T, ...], on the CPU.
        starts: Where each row begins in there, int64 [N].
        lengths: How many values each row has, int64 [N]; 0 is possible.
        padding: What stands behind a row's end where a batch makes all rows as long.
    """

    values: Tensor
    starts: Tensor
    lengths: Tensor
    padding: Number = 0

    @classmethod
    def of(
        cls, rows: Sequence[Any], dtype: torch.dtype = torch.int64, padding: Number = 0
    ) -> "Ragged":
        """Make a column of rows, each a list, array or tensor of its own length.

        Args:
            rows: N of them, [length, ...] each; all but the lengths are alike.
            dtype: Of the values.
            padding: See `Ragged`.

        Raises:
            ValueError: A row isn't of numbers, or rows differ in more than their lengths.
        """
        parts = [torch.as_tensor(row, dtype=dtype) for row in rows]
        lengths = torch.tensor([len(part) for part in parts], dtype=torch.int64)
        filled = [part for part in parts if len(part)] or parts[:1]
        try:
            if filled:
                values = torch.cat(filled)
            else:
                values = torch.empty(0, dtype=dtype)
        except RuntimeError as error:
            shapes = sorted({tuple(part.shape[1:]) for part in filled})
            raise ValueError(f"rows of shapes {shapes}: only the lengths may differ") from error

        return cls.packed(values, lengths, padding)

    @classmethod
    def packed(cls, values: Tensor, lengths: Tensor, padding: Number) -> "Ragged":
        """Make a column of rows that lie one after the other.

        Args:
            values: [T, ...].
            lengths: int64 [N], whose sum is T.
            padding: See `Ragged`.
        """
        return cls(values, lengths.cumsum(0) - lengths, lengths, padding)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def dtype(self) -> torch.dtype:
        """Of the values."""
        return self.values.dtype

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of one of a row's values."""
        return tuple(self.values.shape[1:])

    def index_select(self, dimension: int, index: Tensor) -> "Ragged":
        """Return some rows, int64 [k], as a tensor's `index_select(0, index)` does; no copy of
        their values.
        """
        assert dimension == 0, "rows alone can be taken"
        starts = self.starts.index_select(0, index)
        return Ragged(self.values, starts, self.lengths.index_select(0, index), self.padding)

    def __getitem__(self, part: slice) -> "Ragged":
        """Return the rows of a slice, without a copy."""
        return Ragged(self.values, self.starts[part], self.lengths[part], self.padding)

    def places(self) -> Tensor:
        """Return where the rows' values lie in `values`, row after row, int64 [sum of lengths]."""
        ends = self.lengths.cumsum(0)
        total = int(ends[-1]) if len(ends) else 0
        shift = (self.starts - (ends - self.lengths)).repeat_interleave(self.lengths)
        return torch.arange(total) + shift

    def pack(self) -> "Ragged":
        """Return a copy whose rows lie one after the other and whose values are theirs alone."""
        values = self.values.index_select(0, self.places())
        return Ragged.packed(values, self.lengths.clone(), self.padding)

    def padded(self) -> Tensor:
        """Return [N, L, ...], each row filled up with the padding; L is the longest's length, and
        at least 1.
        """
        longest = 1
        if len(self):
            longest = max(1, int(self.lengths.max()))

        within = torch.arange(longest) < self.lengths[:, None]
        result = torch.full((len(self), longest, *self.row), self.padding, dtype=self.dtype)
        result[within] = self.values.index_select(0, self.places())
        return result

    def list(self) -> list[Any]:
        """Return each row as a list of numbers, as for a look at it."""
        packed = self.pack()
        parts = torch.split(packed.values, packed.lengths.tolist())
        return [part.tolist() for part in parts]


def joined(parts: Sequence[Ragged]) -> Ragged:
    """Return the rows of several columns, one after the other; the padding is the first's."""
    packed = [part.pack() for part in parts]
    values = torch.cat([part.values for part in packed])
    lengths = torch.cat([part.lengths for part in packed])
    return Ragged.packed(values, lengths, parts[0].padding)


def offsets_of(lengths: Tensor) -> Tensor:
    """Return where each packed row begins, and where the last one ends, int64 [N + 1]."""
    return torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])


def lengths_of(offsets: Tensor, total: int) -> Tensor:
    """Return the lengths [N] that offsets [N + 1] say.

    Raises:
        ValueError: They don't cut `total` values into rows; they may come from a stranger.
    """
    found = offsets.numpy()
    rises = len(found) > 0 and bool((np.diff(found) >= 0).all())
    if not rises or found[0] != 0 or found[-1] != total:
        raise ValueError(f"offsets that don't cut {total} values into rows")

    return offsets[1:] - offsets[:-1]
