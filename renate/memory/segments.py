"""A memory on the store: a log of immutable segments, and an index of which slot holds which row of which segment.

An update appends the rows that it added. Segments whose rows have mostly left the memory are rewritten, so that the log
stays within half as much again as the memory, and what is written in proportion to what changed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from renate.errors import CorruptError
from renate.memory.columns import ColumnStore
from renate.memory.random import Floats, Ints
from renate.state.contents import Shapes, check_shapes, shapes_from

EXCESS, MOST = (
    1.5,
    128,
)  # referenced rows per live row, and segments, above which the worst segment is rewritten
SMALLEST = 4096  # rows of a segment, unless the memory has more than 64 times as many

Index = np.ndarray[Any, np.dtype[np.int32]]
Read = Callable[[str], bytes | memoryview]


class Segments:
    """Which slot was saved where. Segment -1: not saved yet."""

    def __init__(self) -> None:
        self.segment: Index = np.empty(0, np.int32)
        self.row: Index = np.empty(0, np.int32)
        self.rows: dict[int, int] = {}  # segment -> rows in its file
        self.next = 0

    def touch(self, slots: Ints, size: int) -> None:
        """Mark slots as written since the last save."""
        if size > len(self.segment):
            room = max(size, 2 * len(self.segment), 1024)
            grown = np.full(room, -1, np.int32)
            grown[: len(self.segment)] = self.segment
            self.segment, self.row = (
                grown,
                np.resize(self.row, room) if len(self.row) else np.zeros(room, np.int32),
            )
        self.segment[slots] = -1

    def rewrite(self, size: int) -> None:
        """Mark everything as written."""
        self.segment[:size] = -1

    def move(self, origin: Ints, to: Ints) -> None:
        """What is in some slots now is in others."""
        self.segment[to], self.row[to] = self.segment[origin], self.row[origin]

    def where(self, size: int) -> Index:
        """Return segment and row of each slot, [2, size]."""
        return np.stack([self.segment[:size], self.row[:size]])

    def append(self, where: Index, size: int) -> None:
        """Take over slots of another process's shard, after the `size` slots there are."""
        self.segment = np.concatenate([self.segment[:size], where[0]])
        self.row = np.concatenate([self.row[:size], where[1]])

    def snapshot(self, size: int) -> dict[str, Any]:
        return {"where": torch.from_numpy(self.where(size)), "rows": dict(self.rows), "next": self.next}

    def revert(self, snapshot: dict[str, Any]) -> None:
        self.segment, self.row = (part.numpy().copy() for part in snapshot["where"])
        self.rows, self.next = dict(snapshot["rows"]), snapshot["next"]

    def save(self, store: ColumnStore, size: int, keys: Floats | None) -> Iterator[tuple[str, bytes | None]]:
        """Yield the files; this index changes only once all of them were taken."""
        segment, row, number = self.segment[:size].copy(), self.row[:size].copy(), self.next
        rows = self._kept(segment)
        for old in sorted(rows):
            yield name_of(old), None
        fresh, most = np.flatnonzero(segment < 0), max(SMALLEST, size // 64)
        for begin in range(0, len(fresh), most):
            slots = fresh[begin : begin + most]
            segment[slots], row[slots] = number, np.arange(len(slots))
            rows[number] = len(slots)
            yield name_of(number), save(store.gather(torch.from_numpy(slots)))
            number += 1
        index = {"segment": torch.from_numpy(segment), "row": torch.from_numpy(row)}
        if keys is not None:
            index["key"] = torch.from_numpy(keys.copy())
        yield "memory/index.safetensors", save(index)
        self.segment[:size], self.row[:size], self.rows, self.next = segment, row, rows, number

    def _kept(self, segment: Index) -> dict[int, int]:
        """Drop dead segments, and the worst ones until the log is within its bounds; their live rows become fresh."""
        numbers, counts = np.unique(segment[segment >= 0], return_counts=True)
        live = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        rows = {number: self.rows[number] for number in live}
        fresh = len(segment) - sum(live.values())
        while rows and (sum(rows.values()) + fresh > EXCESS * len(segment) or len(rows) > MOST):
            if len(rows) > MOST:
                worst = min(rows, key=lambda number: live[number])
            else:
                worst = min(rows, key=lambda number: live[number] / rows[number])
            segment[segment == worst] = -1
            fresh += live[worst]
            del rows[worst]
        return rows

    def meta(self) -> dict[str, Any]:
        return {
            "segments": {str(number): rows for number, rows in self.rows.items()},
            "next_segment": self.next,
        }

    @classmethod
    def open(cls, meta: dict[str, Any], read: Read) -> tuple["Segments", Floats | None]:
        """Return the index of a saved memory, and its keys.

        Args:
            meta: As `memory_from` returned it.
            read: Returns the bytes of a file by its name.

        Raises:
            CorruptError: A slot isn't that of a row, or a key no number between 0 and 1.
        """
        where, size = "memory/index.safetensors", meta["size"]
        data = bytes(read(where))
        expected: Shapes = {"segment": ("I32", [size]), "row": ("I32", [size])}
        if "key" in shapes_from(data, where):
            expected["key"] = ("F64", [size])
        check_shapes(data, where, expected)
        index = load(data)
        self = cls()
        self.segment, self.row = index["segment"].numpy().copy(), index["row"].numpy().copy()
        self.rows, self.next = dict(meta["segments"]), meta["next_segment"]
        self._check(where)
        keys = index["key"].numpy().copy() if "key" in index else None
        if keys is not None and not ((keys > 0) & (keys < 1)).all():
            raise CorruptError(f"{where}: a key isn't between 0 and 1; bring it back from a copy")
        return self, keys

    def _check(self, where: str) -> None:
        """Every slot must have a row: the store's own memory is not initialised."""
        left = np.ones(len(self.segment), bool)
        for number, rows in self.rows.items():
            here = self.segment == number
            left &= ~(here & (self.row >= 0) & (self.row < rows))
        if left.any():
            slot = int(np.flatnonzero(left)[0])
            raise CorruptError(
                f"{where}: slot {slot} is row {self.row[slot]} of segment {self.segment[slot]}, which there isn't; "
                "bring it back from a copy"
            )

    def keep(self, slots: Ints) -> None:
        """Keep only some slots, renumbered in the order given."""
        self.segment, self.row = self.segment[slots].copy(), self.row[slots].copy()

    def read(self, store: ColumnStore, read: Read, columns: Shapes, reserve: Callable[[], None]) -> None:
        """Copy every row from its segment into its slot. All segments are read: processes read them together.

        Args:
            store: Where to.
            read: Returns the bytes of a file by its name.
            columns: dtype and shape of one row, by column.
            reserve: Makes the store's room; called once a segment has shown that its rows are of this size.

        Raises:
            CorruptError: A segment has other columns or another number of rows.
        """
        for number in sorted(self.rows):
            data, rows_there = read(name_of(number)), self.rows[number]
            expected = {name: (dtype, [rows_there, *shape]) for name, (dtype, shape) in columns.items()}
            check_shapes(data, name_of(number), expected)
            reserve()
            slots = np.flatnonzero(self.segment == number)
            if len(slots):
                rows = self.row[slots].astype(np.int64)
                store.put(torch.from_numpy(slots), torch.from_numpy(rows), load(bytes(data)))


def name_of(number: int) -> str:
    return f"memory/segment-{number:06d}.safetensors"
