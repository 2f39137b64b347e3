"""A file of decoded images being written: its layout, its rows, and what stops it."""

import errno
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from renate.data.images.blocks import (
    Columns,
    blocks_of,
    decode_here,
    decode_there,
    encoded,
    workers_for,
)
from renate.data.images.decode import CorruptError, Layout, open_image
from renate.data.images.image_files import ImageFiles
from renate.data.images.rules import ImageRules
from renate.data.images.worker import Answer
from renate.errors import DataError

NOTHING: Mapping[int, str] = MappingProxyType({})


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Say where decoded images were to be kept, if they can't be.

    Raises:
        DataError: There is no room, or no right to write there.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder}: the decoded images can't be kept there ({error.strerror or error}): "
            "make room, or name another folder by data.cache_dir"
        ) from error


def length_of(columns: Columns) -> int:
    """Return how many images columns have."""
    return sum(len(column) for _, column in columns)


def layout_of(columns: Columns, rules: ImageRules) -> Layout:
    """Return what all images become: by the first one, of those that aren't left out.

    Raises:
        DataError: It can't be decoded, and isn't to be left out; or none can.
    """
    begin = 0
    for where, column in columns:
        for row, images in enumerate(encoded(column, 1)):
            try:
                image = open_image(images[0], rules.shape, rules.fit)
            except CorruptError as error:
                if not rules.skip:
                    raise DataError(f"{named(where, column, row)}{error.args[0]}") from error
                continue
            except DataError as error:
                raise DataError(f"{named(where, column, row)}{error.args[0]}") from error

            resize = rules.size is not None
            return Layout(image.mode, image.height, image.width, resize, rules.fit, rules.skip)
        begin += len(column)

    raise DataError(f"{columns[0][0]}: none of the {begin} images can be decoded")


def fill(
    file: FileIO,
    path: Path,
    columns: Columns,
    layout: Layout,
    progress: Callable[[int], None],
    left_out: Mapping[int, str] = NOTHING,
) -> dict[int, str] | None:
    """Write the images but some rows as a .npy file.

    Args:
        file: Opened for writing.
        path: Where it is, for processes to open it as well.
        columns: Of encoded images.
        layout: What they become.
        progress: Is told how many are done.
        left_out: The rows that aren't written.

    Returns:
        Row -> why of those that can't be decoded, where the layout leaves them out; None where it
        is grey and an image isn't.

    Raises:
        DataError: An image is refused, or there is no room.
    """
    rows = length_of(columns) - len(left_out)
    header = _header((rows, *layout.shape))
    start = len(header)
    with keeping(path.parent):
        _begin(file, header, start + rows * math.prod(layout.shape))

    blocks = blocks_of(columns, layout, left_out)
    workers = workers_for(path, columns)
    done = 0
    corrupt: dict[int, str] = {}
    stopped = []
    if workers:
        answers = decode_there(workers, blocks, layout, start)
    else:
        answers = decode_here(file, blocks, layout, start)

    try:
        for block, answer in answers:
            if answer.kind != "done":
                stopped.append(answer)
            else:
                done += len(block.images)
                corrupt |= dict(answer.corrupt)
                progress(done)
    finally:
        for worker in workers:
            worker.end()

    if not stopped and done != rows:
        raise DataError(
            f"{columns[0][0]} has {done} rows, not {rows} as its file says: write it anew"
        )

    if _judge(stopped, columns, path.parent):
        return corrupt
    return None


def _judge(stopped: list[Answer], columns: Columns, folder: Path) -> bool:
    """Raise what the first row says that can't be decoded; False where there are images in
    colour.
    """
    if not stopped:
        return True

    for answer in stopped:
        if answer.kind == "unwritten":
            with keeping(folder):
                raise OSError(answer.text)

    if any(answer.kind == "colour" for answer in stopped):
        return False  # what was refused behind it, or before it, will be so again

    first = min(stopped, key=lambda answer: answer.row)
    raise DataError(f"{name_of(columns, first.row)}{first.text}")


def name_of(columns: Columns, row: int) -> str:
    """Return how a row of all columns is called."""
    for where, column in columns:
        if row < len(column):
            return named(where, column, row)
        row -= len(column)
    raise AssertionError("a row of no file")


def named(where: str, column: Any, row: int) -> str:
    """Return how a row of a column is called: by its file, or by where the column is."""
    if isinstance(column, ImageFiles):
        return column.paths[row]
    return f"{where}: row {row}"


def _header(shape: tuple[int, ...]) -> bytes:
    """That of a .npy file of uint8."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return header.getvalue()


def _begin(file: FileIO, header: bytes, size: int) -> None:
    """Give the file its header, and its size, on the disk too, so that a full one is told now."""
    file.truncate(size)
    file.seek(0)
    file.write(header)

    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            # Not of this file system
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
