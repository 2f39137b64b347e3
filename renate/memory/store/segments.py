"""A memory on the store: a log of immutable segments, and an index of which slot holds which row.

An update appends the rows that it added. Segments whose rows have mostly left the memory are
rewritten, so that the log stays within half as much again as the memory, and what is written in
proportion to what changed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from renate.data.batch import Columns
from renate.data.ragged import Ragged, lengths_of, offsets_of
from renate.errors import CorruptError
from renate.memory.base import Values
from renate.memory.random import Ints
from renate.memory.store.columns import ColumnStore, Schema
from renate.state.tensors import DTYPES, Shapes, check_shapes, shapes_from

# Referenced rows per live row, and segments, above which the worst segment is rewritten.
EXCESS = 1.5
MOST = 128
SMALLEST = 4096  # rows of a segment, unless the memory has more than 64 times as many
INDEX = "memory/index.safetensors"
OFFSETS = ".offsets"  # behind the name of a ragged column: where its rows begin among its values

Index = np.ndarray[Any, np.dtype[np.int32]]
Read = Callable[[str], bytes | memoryview]


class Segments:
    """Which slot was saved where. Segment -1: not saved yet.

    Attributes:
        segment: Of each slot, int32; there may be more than slots in use.
        row: In that segment, of each slot, int32.
        rows: Segment -> rows in its file.
        next: Number of the next segment.
    """

    def __init__(self) -> None:
        self.segment: Index = np.empty(0, np.int32)
        self.row: Index = np.empty(0, np.int32)
        self.rows: dict[int, int] = {}
        self.next = 0

    def touch(self, slots: Ints, size: int) -> None:
        """Mark slots as written since the last save."""
        if size > len(self.segment):
            self._grow(max(size, 2 * len(self.segment), 1024))
        self.segment[slots] = -1

    def _grow(self, room: int) -> None:
        held = len(self.segment)
        segment = np.full(room, -1, np.int32)
        segment[:held] = self.segment
        row = np.zeros(room, np.int32)
        row[:held] = self.row
        self.segment = segment
        self.row = row

    def rewrite(self, size: int) -> None:
        """Mark everything as written."""
        self.segment[:size] = -1

    def move(self, origin: Ints, to: Ints) -> None:
        """What is in some slots now is in others."""
        self.segment[to] = self.segment[origin]
        self.row[to] = self.row[origin]

    def where(self, size: int) -> Index:
        """Return segment and row of each slot, [2, size]."""
        return np.stack([self.segment[:size], self.row[:size]])

    def append(self, where: Index, size: int) -> None:
        """Take over slots of another process's shard, after the `size` slots there are."""
        self.segment = np.concatenate([self.segment[:size], where[0]])
        self.row = np.concatenate([self.row[:size], where[1]])

    def snapshot(self, size: int) -> dict[str, Any]:
        """Return everything there is, as tensors and numbers."""
        where = torch.from_numpy(self.where(size))
        return {"where": where, "rows": dict(self.rows), "next": self.next}

    def revert(self, snapshot: dict[str, Any]) -> None:
        """Become what a snapshot holds."""
        self.segment, self.row = (part.numpy().copy() for part in snapshot["where"])
        self.rows = dict(snapshot["rows"])
        self.next = snapshot["next"]

    def save(
        self, store: ColumnStore, size: int, values: Values
    ) -> Iterator[tuple[str, bytes | None]]:
        """Yield the files; this index changes only once all of them were taken.

        Args:
            store: Holds the rows.
            size: Slots in use.
            values: What the policy keeps of each slot, [size] each.
        """
        segment = self.segment[:size].copy()
        row = self.row[:size].copy()
        number = self.next
        rows = self._kept(segment)
        for old in sorted(rows):
            yield name_of(old), None

        fresh = np.flatnonzero(segment < 0)
        most = max(SMALLEST, size // 64)
        for begin in range(0, len(fresh), most):
            slots = fresh[begin : begin + most]
            segment[slots] = number
            row[slots] = np.arange(len(slots))
            rows[number] = len(slots)
            yield name_of(number), save(_as_tensors(store.gather(torch.from_numpy(slots))))
            number += 1

        index = {"segment": segment, "row": row} | values
        yield INDEX, save({name: torch.from_numpy(own.copy()) for name, own in index.items()})
        self.segment[:size] = segment
        self.row[:size] = row
        self.rows = rows
        self.next = number

    def _kept(self, segment: Index) -> dict[int, int]:
        """Drop dead segments, and the worst ones until the log is within its bounds.

        Their live rows become fresh.
        """
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
        """What memory/meta.json says of the segments."""
        return {
            "segments": {str(number): rows for number, rows in self.rows.items()},
            "next_segment": self.next,
        }

    @classmethod
    def open(cls, meta: dict[str, Any], read: Read, values: Values) -> tuple["Segments", Values]:
        """Return the index of a saved memory, and what its policy kept of each slot.

        Args:
            meta: As `memory_from` returned it.
            read: Returns the bytes of a file by its name.
            values: The policy's, of whatever examples: their names and dtypes are expected.

        Raises:
            CorruptError: A slot isn't that of a row, or the policy's values are others.
        """
        data = bytes(read(INDEX))
        shape = [meta["size"]]
        expected: Shapes = {"segment": ("I32", shape), "row": ("I32", shape)}
        expected |= {name: (DTYPES[own.dtype.name], shape) for name, own in values.items()}
        check_shapes(data, INDEX, expected)

        index = {name: tensor.numpy().copy() for name, tensor in load(data).items()}
        self = cls()
        self.segment = index.pop("segment")
        self.row = index.pop("row")
        self.rows = dict(meta["segments"])
        self.next = meta["next_segment"]
        self._check()

        return self, index

    def _check(self) -> None:
        """Every slot must have a row: the store's own memory is not initialised."""
        left = np.ones(len(self.segment), bool)
        for number, rows in self.rows.items():
            here = self.segment == number
            left &= ~(here & (self.row >= 0) & (self.row < rows))

        if left.any():
            slot = int(np.flatnonzero(left)[0])
            raise CorruptError(
                f"{INDEX}: slot {slot} is row {self.row[slot]} of segment {self.segment[slot]}, "
                "which there isn't; bring it back from a copy"
            )

    def keep(self, slots: Ints) -> None:
        """Keep only some slots, renumbered in the order given."""
        self.segment = self.segment[slots].copy()
        self.row = self.row[slots].copy()

    def read(self, store: ColumnStore, read: Read, schema: Schema, rows: int) -> None:
        """Copy every row from its segment into its slot.

        All segments are read, also those of which no row is wanted: processes read them together.
        Room is made once a segment has shown that its rows are of the size that the schema says.

        Args:
            store: Where to.
            read: Returns the bytes of a file by its name.
            schema: Of the memory that was saved.
            rows: Slots to make room for.

        Raises:
            CorruptError: A segment has other columns or another number of rows.
        """
        for number in sorted(self.rows):
            data = read(name_of(number))
            count = self.rows[number]
            check_shapes(data, name_of(number), expected_in(data, name_of(number), schema, count))
            store.reserve(rows, schema)

            slots = np.flatnonzero(self.segment == number)
            if len(slots):
                origin = self.row[slots].astype(np.int64)
                columns = columns_from(load(bytes(data)), schema, name_of(number))
                store.put(torch.from_numpy(slots), torch.from_numpy(origin), columns)


def _as_tensors(columns: Columns) -> dict[str, torch.Tensor]:
    """Columns as a file has them: of a ragged one the values of all rows, and their offsets."""
    found: dict[str, torch.Tensor] = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            packed = column.pack()
            found[name] = packed.values
            found[name + OFFSETS] = offsets_of(packed.lengths)
        else:
            found[name] = column

    return found


def expected_in(data: bytes | memoryview, where: str, schema: Schema, rows: int) -> Shapes:
    """What a segment of so many rows holds; how many values ragged rows have, it says itself."""
    expected: Shapes = {}
    for name, kind in schema.items():
        dtype = DTYPES[str(kind.dtype).removeprefix("torch.")]
        count = rows
        if kind.padding is not None:
            expected[name + OFFSETS] = "I64", [rows + 1]
            _, shape = shapes_from(data, where).get(name, ("", []))
            count = shape[0] if shape else 0
        expected[name] = dtype, [count, *kind.shape]

    return expected


def columns_from(tensors: dict[str, torch.Tensor], schema: Schema, where: str) -> Columns:
    """The reverse of `_as_tensors`.

    Raises:
        CorruptError: Offsets don't cut the values into rows.
    """
    found: Columns = {}
    for name, kind in schema.items():
        if kind.padding is None:
            found[name] = tensors[name]
            continue

        values = tensors[name]
        try:
            lengths = lengths_of(tensors[name + OFFSETS], len(values))
        except ValueError as error:
            raise CorruptError(
                f"{where}: column '{name}': {error}; bring it back from a copy"
            ) from error
        found[name] = Ragged.packed(values, lengths, kind.padding)

    return found


def name_of(number: int) -> str:
    """The name of a segment's file."""
    return f"memory/segment-{number:06d}.safetensors"
