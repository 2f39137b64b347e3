"""Where a memory's examples lie: one preallocated tensor per column, in RAM or in a mapped file."""

import math
import tempfile

import torch
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.errors import DataError

Schema = dict[str, tuple[torch.dtype, tuple[int, ...]]]


def schema_of(columns: Columns) -> Schema:
    return {name: (column.dtype, tuple(column.shape[1:])) for name, column in columns.items()}


class ColumnStore:
    """Slots 0 … rows - 1 of every column. The columns are made at the first write, from what is written.

    Args:
        max_ram: Bytes; if all columns together need more, they lie in mapped files.
        scratch: Folder of those files, which have no name there and vanish with the process; None is a temporary one.
    """

    def __init__(self, max_ram: int, scratch: str | None) -> None:
        self.max_ram, self.scratch = max_ram, scratch
        self.columns: Columns = {}
        self.rows = 0

    @property
    def schema(self) -> Schema:
        return schema_of(self.columns)

    def reserve(self, rows: int, schema: Schema) -> None:
        """Make room for slots up to `rows`; what is stored stays."""
        if rows <= self.rows and self.columns:
            return
        size = rows * sum(dtype.itemsize * math.prod(shape) for dtype, shape in schema.values())
        old, self.columns = self.columns, {}
        for name, (dtype, shape) in schema.items():
            new = self._mapped(rows, dtype, shape) if size > self.max_ram else torch.empty((rows, *shape), dtype=dtype)
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
                raise DataError(f"memory: column '{name}' has {len(column)} rows, the targets have {rows}")
        if not self.columns:
            return

        odd = self.columns.keys() ^ columns.keys()
        if odd:
            name = min(odd)
            where = "the memory has" if name in self.columns else "the new examples have"
            raise DataError(f"memory: only {where} a column '{name}': has the updater or the data changed?")
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
            chosen = new.index_select(0, rows) if new.is_cpu else new.index_select(0, rows.to(new.device)).cpu()
            column.index_copy_(0, slots, chosen)

    def move(self, origin: Tensor, to: Tensor) -> None:
        """Copy rows from slots to other slots, int64 [k] both."""
        for column in self.columns.values():
            column.index_copy_(0, to, column.index_select(0, origin))

    def gather(self, index: Tensor) -> Columns:
        return select(self.columns, index)

    def first(self, count: int) -> Columns:
        return {name: column[:count] for name, column in self.columns.items()}
