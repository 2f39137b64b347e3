"""Where the examples of a fit lie: on the device that trains, or on the host."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from renate.data.devices.copies import Stream, ahead
from renate.errors import ConfigError, nearest

Columns = dict[str, Any]
Brought = Iterator[tuple[Columns, Columns | None]]

AUTO = "auto"
HOST = "cpu"
DEVICE = "device"
PLACES = (AUTO, HOST, DEVICE)
# Of the memory that is free on a device: a model's gradients and activations need the rest, and how
# much that is shows only in the first step
SHARE = 0.25


def check_place(place: object) -> None:
    """Return if `data.device` says where examples may lie. Raises ConfigError."""
    if place not in PLACES:
        raise ConfigError(
            f"data.device={place}: expected {', '.join(PLACES)}{nearest(str(place), PLACES)}"
        )


def free_on(device: torch.device) -> int:
    """Bytes that are free on a device; 0 where that can't be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return 0


def resident(
    columns: Columns,
    place: str,
    device: torch.device,
    free: Callable[[torch.device], int] = free_on,
) -> Columns | None:
    """Return the columns as they lie on a device, once and for all; None where they don't.

    Args:
        columns: The rows to train on, on the host.
        place: `auto`: if they take a quarter of what is free there, or less; `cpu`: never;
            `device`: always.
        device: Which trains.
        free: Tells how many bytes are free there.

    Raises:
        ConfigError: They are to lie there, and can't.
    """
    if device.type == "cpu" or place == HOST:
        return None

    size = size_of(columns)
    if size is None:
        if place == DEVICE:
            raise ConfigError(
                "data.device=device: rows of different lengths, and items that are read one by "
                "one, can't lie there: data.device=auto"
            )
        return None

    left = free(device)
    if place == AUTO and size > SHARE * left:
        return None
    if place == DEVICE and size > left:
        raise ConfigError(
            f"data.device=device: the training data take {size / 1e9:.2f} GB, {device} has "
            f"{left / 1e9:.2f} GB free: data.device=cpu"
        )

    return {name: column.to(device) for name, column in columns.items()}


def size_of(columns: Columns) -> int | None:
    """Bytes of columns; None where one isn't a tensor that lies in memory as it is."""
    sizes = [column.nbytes for column in columns.values() if isinstance(column, Tensor)]
    if len(sizes) < len(columns):
        return None
    return sum(sizes)


class Bringer:
    """Brings batches to the device that trains.

    Args:
        columns: The rows to train on, on the host.
        place: Where they lie, see `resident`.
        device: Which trains.

    Attributes:
        lying: The columns on the device; None where they lie on the host alone.
    """

    def __init__(self, columns: Columns, place: str, device: torch.device) -> None:
        check_place(place)
        self.columns = columns
        self.device = device
        self.lying = resident(columns, place, device)
        self.travels = self.lying is None and device.type == "cuda" and size_of(columns) is not None

    def __call__(self, parts: Sequence[Tensor]) -> Brought:
        """Yield the rows of each part as they are stored, on the host, where a memory takes them
        from; and as they are on the device, None where the transform brings them there.

        Args:
            parts: Which rows, int64 [B] each.
        """
        stored = (_rows(self.columns, part) for part in parts)
        if self.lying is not None:
            return zip(stored, self._taken(parts), strict=True)
        if self.travels:
            return ahead(stored, Stream(self.device))
        return ((raw, None) for raw in stored)

    def release(self) -> None:
        """Hold the rows no longer, neither on the host nor on the device."""
        self.columns = {}
        self.lying = None

    def _taken(self, parts: Sequence[Tensor]) -> Iterator[Columns]:
        """The same rows, from the device; which ones travels there once."""
        if not parts:
            return

        assert self.lying is not None
        order = torch.cat([*parts]).to(self.device)
        for part in torch.split(order, [len(part) for part in parts]):
            yield _rows(self.lying, part)


def _rows(columns: Columns, index: Tensor) -> Columns:
    return {name: column.index_select(0, index) for name, column in columns.items()}
