"""Encoded images -> one array, decoded once by all processors, and then mapped from a file."""

import errno
import io
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from renate.data.images.blocks import Columns, blocks_of, decode_here, decode_there, workers_for
from renate.data.images.decode import Layout, open_image
from renate.data.images.worker import Answer
from renate.data.tables.parquet import batches
from renate.errors import DataError

# Takes done, total, and what is being done.
Show = Callable[[int, int, str], None]
# Seconds between two calls of `show`.
EVERY = 0.2
# Seconds after which a part that nobody has written to is that of a run which was killed.
ABANDONED = 3600


def mapped(path: Path, rows: int, size: tuple[int, ...] | None) -> Tensor | None:
    """Map what `decode` made; None where it isn't there, was cut off, or holds something else."""
    try:
        found = np.load(path, mmap_mode="c", allow_pickle=False)
        length = path.stat().st_size
    except (OSError, ValueError, EOFError, SyntaxError):
        return None

    if not isinstance(found, np.memmap) or found.dtype != np.uint8 or found.ndim != 4:
        return None
    if (
        found.offset + found.nbytes != length
        or found.shape[0] != rows
        or found.shape[1] not in (1, 3)
    ):
        return None

    return torch.from_numpy(found) if size is None or found.shape[2:] == size else None


def decode(
    columns: Columns, path: Path, size: tuple[int, ...] | None, show: Show | None = None
) -> Tensor:
    """Decode columns of encoded images, one after the other, into a file, of which no reader ever
    finds a part.

    A run that is killed leaves a hidden file beside it, which a later one removes. Several
    processes may decode the same at once.

    Args:
        columns: (file and column, for messages; column of binary, or of the Hub's struct with
            `bytes`, as in `Read`).
        path: The file that will hold the result.
        size: (height, width) to resize to, or None.
        show: Takes done, total and a text, some times a second.

    Returns:
        uint8 [N, C, H, W], C = 1 where every image is grey, else 3; mapped from the file, copied
        only when written to.

    Raises:
        DataError: An image that can't be decoded (the first one, whichever process meets it),
            images of several sizes without `size`, or no room for the file.
    """
    rows = _length(columns)
    if not rows:
        raise DataError(f"{columns[0][0]} has no rows")

    _make(path, columns, size, _Progress(show, rows))
    found = mapped(path, rows, size)
    if found is None:
        raise DataError(f"{path} isn't as it was written: is the disk full, or damaged?")

    return found


def _length(columns: Columns) -> int:
    return sum(len(column) for _, column in columns)


def _make(
    path: Path, columns: Columns, size: tuple[int, ...] | None, progress: "_Progress"
) -> None:
    layout = _layout(columns, size)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with _keeping(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        file = FileIO(temporary, "x")

    try:
        with file:
            # Grey until an image in colour turns up
            if not _fill(file, temporary, columns, layout, progress):
                _fill(file, temporary, columns, layout._replace(mode="RGB"), progress)
            with _keeping(path.parent):
                os.fsync(file.fileno())  # or a power cut leaves the name with zeros behind it

        with _keeping(path.parent):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder}: the decoded images can't be kept there ({error.strerror or error}): "
            "make room, or name another folder by data.cache_dir"
        ) from error


def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob(".*.npy.*.tmp"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def _layout(columns: Columns, size: tuple[int, ...] | None) -> Layout:
    """By the first image."""
    for where, column in columns:
        for images in batches(column, 1):
            try:
                image = open_image(images[0], size)
            except DataError as error:
                raise DataError(f"{where}: row 0{error.args[0]}") from error
            return Layout(image.mode, image.height, image.width, size is not None)

    raise AssertionError("no rows")


def _fill(
    file: FileIO, path: Path, columns: Columns, layout: Layout, progress: "_Progress"
) -> bool:
    """Write the images as a .npy file; False where the layout is grey and one isn't."""
    rows = _length(columns)
    header = _header((rows, *layout.shape))
    start = len(header)
    with _keeping(path.parent):
        _begin(file, header, start + rows * math.prod(layout.shape))

    blocks = blocks_of(columns, layout)
    workers = workers_for(path, columns)
    done = 0
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
                progress(done)
    finally:
        for worker in workers:
            worker.end()

    if not stopped and done != rows:
        raise DataError(
            f"{columns[0][0]} has {done} rows, not {rows} as its file says: write it anew"
        )

    return _judge(stopped, columns, path.parent)


def _judge(stopped: list[Answer], columns: Columns, folder: Path) -> bool:
    """Raise what the first row says that can't be decoded; False where there are images in
    colour.
    """
    if not stopped:
        return True

    for answer in stopped:
        if answer.kind == "unwritten":
            with _keeping(folder):
                raise OSError(answer.text)

    if any(answer.kind == "colour" for answer in stopped):
        return False  # what was refused behind it, or before it, will be so again

    first = min(stopped, key=lambda answer: answer.row)
    where, row = _place(columns, first.row)
    raise DataError(f"{where}: row {row}{first.text}")


def _place(columns: Columns, row: int) -> tuple[str, int]:
    """File and column of a row of all of them, and the row there."""
    for where, column in columns:
        if row < len(column):
            return where, row
        row -= len(column)
    raise AssertionError("a row of no file")


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


class _Progress:
    """Tells how much is done: now and then, and never less than before.

    Args:
        show: See `decode`.
        total: Of the images.
    """

    def __init__(self, show: Show | None, total: int) -> None:
        self.show = show
        self.total = total
        self.told = 0
        self.last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if (
            self.show is None
            or done <= self.told
            or (done < self.total and now - self.last < EVERY)
        ):
            return

        self.told = done
        self.last = now
        self.show(done, self.total, "decoding images")
