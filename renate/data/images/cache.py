"""Encoded images -> one array, decoded once by all processors, and then mapped from a file."""

import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from renate.data.images.blocks import Columns
from renate.data.images.filling import fill, keeping, layout_of, length_of
from renate.data.images.rules import ImageRules
from renate.errors import DataError
from renate.files import replacing

# Takes done, total, and what is being done.
Show = Callable[[int, int, str], None]
# Seconds between two calls of `show`.
EVERY = 0.2
# Seconds after which a part that nobody has written to is that of a run which was killed.
ABANDONED = 3600


def mapped(path: Path, rows: int, size: tuple[int, ...] | None) -> Tensor | None:
    """Map what `decode_by` made; None where it isn't there, was cut off, or holds another thing."""
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


def decode_by(
    rules: ImageRules, columns: Columns, path: Path, show: Show | None = None
) -> tuple[Tensor, dict[int, str]]:
    """Decode columns of encoded images, one after the other, into a file, of which no reader ever
    finds a part.

    A run that is killed leaves a hidden file beside it, which a later one removes. Several
    processes may decode the same at once.

    Args:
        rules: What becomes of them.
        columns: (file and column, for messages; column of binary, or of the Hub's struct with
            `bytes`, as in `Read`, or files).
        path: The file that will hold the result.
        show: Takes done, total and a text, some times a second.

    Returns:
        uint8 [N, C, H, W], C = 1 where every image is grey, else 3; mapped from the file, copied
        only when written to. Then row -> why of those that are left out.

    Raises:
        DataError: An image that can't be decoded (the first one, whichever process meets it) and
            isn't to be left out, images of several sizes without `rules.size`, or no room for the
            file.
    """
    rows = length_of(columns)
    if not rows:
        raise DataError(f"{columns[0][0]} has no rows")

    corrupt = _make(path, columns, rules, _Progress(show, rows))
    found = mapped(path, rows - len(corrupt), rules.shape)
    if found is None:
        raise DataError(f"{path} isn't as it was written: is the disk full, or damaged?")

    return found, corrupt


def mapped_by(rules: ImageRules, path: Path, rows: int) -> tuple[Tensor, dict[int, str]] | None:
    """Map what `decode_by` made of so many rows; None where it isn't there, or isn't whole."""
    corrupt: dict[int, str] = {}
    if rules.skip:
        try:
            listed = json.loads(_list_at(path).read_text())
            corrupt = {int(row): str(why) for row, why in listed}
        except (OSError, ValueError, TypeError):
            return None

    if any(not 0 <= row < rows for row in corrupt):
        return None

    found = mapped(path, rows - len(corrupt), rules.shape)
    return None if found is None else (found, corrupt)


def _list_at(path: Path) -> Path:
    """Where it stands which rows were left out."""
    return path.with_suffix(".left_out.json")


def _make(path: Path, columns: Columns, rules: ImageRules, progress: "_Progress") -> dict[int, str]:
    """Write the file; return row -> why of the images that are left out."""
    layout = layout_of(columns, rules)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with keeping(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        file = FileIO(temporary, "x")

    try:
        with file:
            # Grey until an image in colour turns up
            corrupt = fill(file, temporary, columns, layout, progress)
            if corrupt is None:
                layout = layout._replace(mode="RGB")
                corrupt = fill(file, temporary, columns, layout, progress) or {}
            if corrupt and fill(file, temporary, columns, layout, progress, corrupt):
                raise DataError(f"{columns[0][0]}: images have changed while they were read")
            with keeping(path.parent):
                os.fsync(file.fileno())  # or a power cut leaves the name with zeros behind it

        with keeping(path.parent):
            if rules.skip:
                with replacing(_list_at(path)) as listed:
                    listed.write_text(json.dumps(sorted(corrupt.items())))
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

    return corrupt


def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob(".*.npy.*.tmp"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


class _Progress:
    """Tells how much is done: now and then, and never less than before.

    Args:
        show: See `decode_by`.
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
