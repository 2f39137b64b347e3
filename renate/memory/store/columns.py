"""Where a memory's examples lie: one preallocated tensor per column, in RAM or in a mapped file."""

import math
import tempfile

import torch
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.errors import DataError

Schema = dict[str, tuple[torch.dtype, tuple[int, ...]]]


def schema_of(columns: Columns) -> Schema:
    """The dtype of each column and the shape of one of its rows."""
    return {name: (column.dtype, tuple(column.shape[1:])) for name, column in columns.items()}


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
        self.max_ram = math.inf if max_ram is None else max_ram
        self.scratch = scratch
        self.columns: Columns = {}
        self.rows = 0

    @property
    def schema(self) -> Schema:
        """As `schema_of` the columns."""
        return schema_of(self.columns)

    def reserve(self, rows: int, schema: Schema) -> None:
        """Make room for slots up to `rows`; what is stored stays."""
        if rows <= self.rows and self.columns:
            return

        size = rows * sum(dtype.itemsize * math.prod(shape) for dtype, shape in schema.values())
        mapped = size > self.max_ram
        old = self.columns
        self.columns = {}

        for name, (dtype, shape) in schema.items():
            new = self._mapped(rows, dtype, shape) if mapped else _in_ram(rows, dtype, shape)
            if name in old:
                new[: self.rows] = old.pop(name)
            self.columns[name] = new

        self.rows = rows

    def _mapped(self, rows: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        with tempfile.NamedTemporaryFile(dir=self.scratch, prefix="memory-") as file:
            numel = rows * math.prod(shape)
            flat = torch.from_file(file.name, shared=True, size=numel, dtype=dtype)
        return flat.view((rows, *shape))

    def check(self, columns: Columns) -> None:
        """Compare new rows with each other and with what is stored.

        Raises:
            DataError: A column is missing, left over, of another length, dtype or shape.
        """
        rows = length(columns)
        for name, column in columns.items():
            if column.shape[0] != rows:
                raise DataError(
                    f"memory: column '{name}' has {len(column)} rows, the targets have {rows}"
                )

        if not self.columns:
            return

        odd = self.columns.keys() ^ columns.keys()
        if odd:
            name = min(odd)
            where = "the memory has" if name in self.columns else "the new examples have"
            raise DataError(
                f"memory: only {where} a column '{name}': has the updater or the data changed?"
            )

        for name, new in columns.items():
            old = self.columns[name]
            if old.dtype != new.dtype or old.shape[1:] != new.shape[1:]:
                raise DataError(
                    f"memory: column '{name}' holds {old.dtype} {list(old.shape[1:])}, "
                    f"the new examples have {new.dtype} {list(new.shape[1:])}"
                )

    def put(self, slots: Tensor, rows: Tensor, columns: Columns) -> None:
        """Copy rows of new columns, on any device, into slots, int64 [k] each, slots unique."""
        for name, column in self.columns.items():
            new = columns[name]
            there = rows if new.is_cpu else rows.to(new.device)
            column.index_copy_(0, slots, new.index_select(0, there).cpu())

    def move(self, origin: Tensor, to: Tensor) -> None:
        """Copy rows from slots to other slots, int64 [k] both."""
        for column in self.columns.values():
            column.index_copy_(0, to, column.index_select(0, origin))

    def gather(self, index: Tensor) -> Columns:
        """Return copies of the rows in some slots, int64 [n]."""
        return select(self.columns, index)

    def first(self, count: int) -> Columns:
        """Return views of the first rows of every column."""
        return {name: column[:count] for name, column in self.columns.items()}


def _in_ram(rows: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.empty((rows, *shape), dtype=dtype)
