"""A head that is kept while the sums that it follows from stay."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Head = tuple[Tensor, Tensor]


class Solved:
    """Solves once for the same sums.

    A write to a tensor counts up its version, which is quickly looked at. What is written may be
    what was there, as where buffers are put back after a measurement: then the values are compared,
    which takes a thousandth of a solution.
    """

    def __init__(self) -> None:
        self.written: list[tuple[int, int]] = []
        self.sums: list[Tensor] = []
        self.head: Head | None = None

    def of(self, sums: Sequence[Tensor], solve: Callable[[], Head]) -> Head:
        """Return the head of sums.

        Args:
            sums: All that it follows from.
            solve: Computes it.
        """
        written = [(id(each), each._version) for each in sums]
        if self.head is not None and written == self.written:
            return self.head

        if self.head is None or not self._are_alike(sums):
            self.sums = [each.clone() for each in sums]
            self.head = solve()

        self.written = written
        return self.head

    def _are_alike(self, sums: Sequence[Tensor]) -> bool:
        pairs = zip(sums, self.sums, strict=True)
        return all(one.device == other.device and torch.equal(one, other) for one, other in pairs)
