"""Where a memory's examples lie: one preallocated tensor per column, in RAM or in a mapped file."""

import math
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.data.ragged import Number, Ragged
from renate.errors import DataError
from renate.memory.store.ragged_slots import RaggedSlots


class Kind(NamedTuple):
    """What all rows of a column have in common.

    Attributes:
        dtype: Of the values.
        shape: Of one row; of a ragged column of one of a row's values.
        padding: Of a ragged column; None where all rows are of one shape.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    padding: Number | None = None

    @property
    def fixed_bytes(self) -> int:
        """What a slot takes, but for the values of a ragged row."""
        if self.padding is not None:
            return 2 * torch.int64.itemsize
        return self.dtype.itemsize * math.prod(self.shape)

    def __str__(self) -> str:
        ragged = ""
        if self.padding is not None:
            ragged = f" of any length, padded with {self.padding}"

        return f"{self.dtype} {list(self.shape)}{ragged}"


Schema = dict[str, Kind]


def schema_of(columns: Columns) -> Schema:
    """The kind of each column."""
    return {name: kind_of(column) for name, column in columns.items()}


def kind_of(column: Tensor | Ragged) -> Kind:
    """What all rows of a column have in common."""
    if isinstance(column, Ragged):
        return Kind(column.dtype, column.row, column.padding)
    return Kind(column.dtype, tuple(column.shape[1:]))


def as_kept(field: Tensor) -> Tensor:
    """A further value as it is kept: floats in 32 bits, whatever this update trains in."""
    field = field.detach()
    return field.float() if field.is_floating_point() else field


class ColumnStore:
    """Slots 0 … rows - 1 of every column. The columns are made at the first write, from what comes.

    Args:
        max_ram: Bytes; if all columns together need more, they lie in mapped files. None is no
            bound.
        scratch: Folder of those files, which have no name there and vanish with the process; None
            is a temporary one.
    """

    def __init__(self, max_ram: int | None, scratch: str | None) -> None:
        if max_ram is None:
            self.max_ram = math.inf
        else:
            self.max_ram = max_ram

        self.scratch = scratch
        self.columns: dict[str, Tensor] = {}
        self.ragged: dict[str, RaggedSlots] = {}
        self.rows = 0

    @property
    def schema(self) -> Schema:
        """As `schema_of` the columns."""
        return schema_of(self.first(0))

    @property
    def names(self) -> set[str]:
        """What the columns are called."""
        return self.columns.keys() | self.ragged.keys()

    def drop(self, name: str) -> None:
        """Let go a column."""
        self.columns.pop(name, None)
        self.ragged.pop(name, None)

    def reserve(self, rows: int, schema: Schema) -> None:
        """Make room for slots up to `rows`; what is stored stays."""
        if rows <= self.rows and self.columns:
            return

        size = rows * sum(kind.fixed_bytes for kind in schema.values())
        mapped = size > self.max_ram
        old = self.columns
        self.columns = {}

        for name, kind in schema.items():
            if kind.padding is not None:
                self._reserve_ragged(name, rows, kind, size)
                continue

            make = self._mapped if mapped else _in_ram
            new = make(rows, kind.dtype, kind.shape)
            if name in old:
                new[: self.rows] = old.pop(name)
            self.columns[name] = new

        self.rows = rows

    def _reserve_ragged(self, name: str, rows: int, kind: Kind, fixed: int) -> None:
        """Make slots of a ragged column, whose values may lie in a mapped file."""

        def make(length: int) -> Tensor:
            size = fixed + length * kind.dtype.itemsize * math.prod(kind.shape)
            allocate = _in_ram
            if size > self.max_ram:
                allocate = self._mapped

            return allocate(length, kind.dtype, kind.shape)

        if name not in self.ragged:
            self.ragged[name] = RaggedSlots(make, kind.padding or 0)
        self.ragged[name].reserve(rows, make)

    def _mapped(self, rows: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        with tempfile.NamedTemporaryFile(dir=self.scratch, prefix="memory-") as file:
            numel = rows * math.prod(shape)
            try:
                flat = torch.from_file(file.name, shared=True, size=numel, dtype=dtype)
            except RuntimeError as error:
                raise DataError(
                    f"memory: {rows:,} rows need a file of {numel * dtype.itemsize:,} bytes, and "
                    f"there can't be one in {Path(file.name).parent}: a smaller memory.capacity"
                ) from error
        return flat.view((rows, *shape))

    def check(self, columns: Columns) -> int:
        """Compare new rows with each other and with what is stored.

        Returns:
            How many there are.

        Raises:
            DataError: A column is missing, left over, of another length, dtype or shape.
        """
        rows = length(columns)
        for name, new in columns.items():
            old = self.columns.get(name)
            if old is not None and isinstance(new, Tensor):
                shape = new.shape
                if shape[0] == rows and new.dtype == old.dtype and shape[1:] == old.shape[1:]:
                    continue
            self._check_column(name, new, rows)

        if self.columns and (self.ragged or self.columns.keys() != columns.keys()):
            self._check_names(columns)

        return rows

    def _check_column(self, name: str, new: Any, rows: int) -> None:
        """Raises DataError where a new column hasn't so many rows, or isn't as the one of its name
        that is stored.
        """
        if len(new) != rows:
            raise DataError(f"memory: column '{name}' has {len(new)} rows, the targets have {rows}")

        if self.columns and name in self.names:
            kind = kind_of(self.first(0)[name])
            if kind != kind_of(new):
                raise DataError(
                    f"memory: column '{name}' holds {kind}, the new examples have {kind_of(new)}"
                )

    def _check_names(self, columns: Columns) -> None:
        """Raises DataError where new rows haven't the columns that are stored."""
        own = self.names
        odd = own ^ columns.keys()
        if odd:
            name = min(odd)
            where = "the new examples have"
            if name in own:
                where = "the memory has"

            raise DataError(
                f"memory: only {where} a column '{name}': has the updater or the data changed?"
            )

    def put(self, slots: Tensor, rows: Tensor, columns: Columns) -> None:
        """Copy rows of new columns, on any device, into slots, int64 [k] each, slots unique."""
        for name, column in self.columns.items():
            new = columns[name]
            there = rows
            if not new.is_cpu:
                there = rows.to(new.device)

            column.index_copy_(0, slots, new.index_select(0, there).cpu())

        for name, ragged in self.ragged.items():
            ragged.put(slots, columns[name].index_select(0, rows.cpu()))

    def move(self, origin: Tensor, to: Tensor) -> None:
        """Copy rows from slots to other slots, int64 [k] both."""
        for column in self.columns.values():
            column.index_copy_(0, to, column.index_select(0, origin))

        for ragged in self.ragged.values():
            ragged.move(origin, to)

    def gather(self, index: Tensor) -> Columns:
        """Return the rows in some slots, int64 [n]: copies, but for the values of ragged rows,
        which nothing overwrites.
        """
        found: Columns = select(self.columns, index)
        for name, ragged in self.ragged.items():
            found[name] = ragged.all().index_select(0, index)

        return found

    def first(self, count: int) -> Columns:
        """Return views of the first rows of every column."""
        found: Columns = {name: column[:count] for name, column in self.columns.items()}
        for name, ragged in self.ragged.items():
            found[name] = ragged.all()[:count]

        return found


def _in_ram(rows: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.empty((rows, *shape), dtype=dtype)
