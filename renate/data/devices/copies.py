"""Copies of batches to a device, which begin while the batch before is trained on."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

Columns = dict[str, Any]


def sent(column: Any, device: torch.device) -> Any:
    """Return a column on a device; to a GPU it travels while the host goes on.

    A copy out of ordinary memory would let the host wait until the device has done what it was
    given before, so it goes through pinned memory, which torch keeps for the next one.
    """
    if device.type == "cuda" and isinstance(column, Tensor) and column.is_cpu:
        column = column.pin_memory()
    return column.to(device, non_blocking=True)


class Way(Protocol):
    """How batches travel beside what a device computes."""

    def send(self, raw: Columns) -> tuple[Columns, Any]:
        """Begin to copy; return the columns as they will be, and what tells when they are."""

    def receive(self, moved: Columns, arrival: Any) -> None:
        """Let what is computed from now on wait for a copy."""


class Stream:
    """A CUDA stream of its own: copies there don't wait for what the device computes, nor it for
    them.

    Args:
        device: Where to.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(self, raw: Columns) -> tuple[Columns, torch.cuda.Event]:
        """See `Way`."""
        with torch.cuda.stream(self.stream):
            moved = {name: sent(column, self.device) for name, column in raw.items()}
            arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrival.record(self.stream)

        return moved, arrival

    def receive(self, moved: Columns, arrival: torch.cuda.Event) -> None:
        """See `Way`."""
        computing = torch.cuda.current_stream(self.device)
        computing.wait_event(arrival)
        for column in moved.values():
            # Its memory was given out on the other stream, which must not take it back before
            # this one has done with it
            column.record_stream(computing)


def ahead(batches: Iterable[Columns], way: Way) -> Iterator[tuple[Columns, Columns]]:
    """Yield each batch as it is stored, and on the device; the next one's copy has begun then."""
    waiting = None
    for raw in batches:
        coming = (raw, *way.send(raw))
        if waiting is not None:
            yield _received(*waiting, way)
        waiting = coming

    if waiting is not None:
        yield _received(*waiting, way)


def _received(raw: Columns, moved: Columns, arrival: Any, way: Way) -> tuple[Columns, Columns]:
    way.receive(moved, arrival)
    return raw, moved
