"""Tensors that lie in mapped files, and rows of such, which lie in others."""

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from renate.data.tables.columns import first_line
from renate.errors import DataError

PART = 2**24  # bytes that are worked on at a time


@dataclass(frozen=True)
class Scratch:
    """Where columns go that are larger than memory.

    Attributes:
        folder: Of the files, which have no name there and vanish with the process.
        max_ram: Bytes of a column that still lies in memory.
    """

    folder: Path
    max_ram: float

    def takes(self, rows: int, row_bytes: int) -> bool:
        """Whether so many rows are too large for memory."""
        return rows * row_bytes > self.max_ram


def scratch_of(folder: str | None, max_ram: float | None) -> Scratch | None:
    """Return where columns go that are larger than memory, as a config has it.

    Args:
        folder: `data.cache_dir`; None is ~/.cache/renate.
        max_ram: `data.max_ram`; None is no bound.
    """
    if max_ram is None:
        return None
    return Scratch(Path(folder or "~/.cache/renate").expanduser(), max_ram)


def mapped_empty(folder: Path, rows: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a tensor [rows, *shape] in a mapped file, of zeros.

    Raises:
        DataError: There is no room for it.
    """
    numel = rows * math.prod(shape)
    if not numel:
        return torch.empty((rows, *shape), dtype=dtype)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="columns-", delete=False) as file:
            flat = torch.from_file(file.name, shared=True, size=numel, dtype=dtype)
            # While it has a name it takes no room: who is killed leaves nothing large
            Path(file.name).unlink()
            # Room is asked for at once: a write into a mapped file has no way to say that it failed
            os.posix_fallocate(file.fileno(), 0, numel * dtype.itemsize)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise DataError(
            f"{folder}: {numel * dtype.itemsize / 1e9:.1f} GB of columns can't be kept there "
            f"({reason}): make room, or name another folder by data.cache_dir"
        ) from error

    return flat.view((rows, *shape))


def folder_of(column: Any) -> Path | None:
    """Return the folder of the mapped file that a column lies in; None where it lies in memory."""
    if not isinstance(column, Tensor):
        return None

    name = column.untyped_storage().filename
    return None if name is None else Path(name).parent


def parts(rows: int, row_bytes: int) -> Iterator[slice]:
    """Yield slices that cover so many rows, some at a time."""
    step = max(1, PART // max(1, row_bytes))
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def take_rows(column: Any, index: Tensor, scratch: Scratch | None = None) -> Any:
    """Return rows of a column, as its `index_select(0, index)`.

    Of one that lies in a mapped file they lie in another.

    Args:
        column: A tensor [N, ...] or another column.
        index: int64 [B].
        scratch: Where rows of a column in memory go that are too large for it.
    """
    folder = folder_of(column)
    in_memory = folder is None and isinstance(column, Tensor)
    if in_memory and scratch is not None and scratch.takes(len(index), bytes_of_row(column)):
        folder = scratch.folder
    if folder is None:
        return column.index_select(0, index)

    found = mapped_empty(folder, len(index), tuple(column.shape[1:]), column.dtype)
    for part in parts(len(index), bytes_of_row(column)):
        torch.index_select(column, 0, index[part], out=found[part])

    return found


def select_rows(
    columns: Mapping[str, Any], index: Tensor, scratch: Scratch | None = None
) -> dict[str, Any]:
    """Return rows of every column, see `take_rows`."""
    return {name: take_rows(column, index, scratch) for name, column in columns.items()}


def joined_rows(columns: Sequence[Tensor]) -> Tensor:
    """Return the rows of several tensors as those of one, as `torch.cat` does.

    Where one lies in a mapped file they lie in another.
    """
    folders = [folder for column in columns if (folder := folder_of(column)) is not None]
    if not folders:
        return torch.cat([*columns])

    first = columns[0]
    rows = sum(map(len, columns))
    found = mapped_empty(folders[0], rows, tuple(first.shape[1:]), first.dtype)
    return torch.cat([*columns], out=found)


def ends_of_columns(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value of each column of vectors [N, C], N at least 1; NaN
    where one is NaN.
    """
    some = list(parts(len(vectors), bytes_of_row(vectors)))
    lows = vectors.new_empty(len(some), vectors.shape[1])
    highs = torch.empty_like(lows)
    # The values of one of several columns are far apart: brought together they are compared in an
    # eighth of the time. One room takes all parts: with one for each, the allocator kept as much as
    # the whole table
    room = vectors.new_empty(vectors.shape[1], some[0].stop)
    for place, part in enumerate(some):
        columns = vectors[part].T
        if not columns.is_contiguous():
            columns = room[:, : part.stop - part.start].copy_(columns)
        torch.amin(columns, 1, out=lows[place])
        torch.amax(columns, 1, out=highs[place])

    return lows.amin(0), highs.amax(0)


def bytes_of_row(column: Tensor) -> int:
    """Return how many bytes a row of a tensor [N, ...] has."""
    return math.prod(column.shape[1:]) * column.element_size()
