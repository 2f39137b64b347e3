"""Columns of images, decoded once, whatever lists them."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.images.blocks import Columns
from renate.data.images.cache import decode_by, mapped_by
from renate.data.images.decode import VERSION
from renate.data.images.filling import length_of, name_of
from renate.data.images.rules import ImageRules
from renate.data.images.shapes import as_those_before
from renate.data.kept.inputs import Inputs
from renate.data.table import File, Table


@dataclass(frozen=True)
class ImageReader:
    """Decodes images by one set of rules, or maps what was decoded before.

    Attributes:
        rules: What becomes of them.
        cache_dir: Where decoded images are kept; None is ~/.cache/renate.
        known: The state's inputs; None at a first update.
        show: See `Source.show`.
    """

    rules: ImageRules
    cache_dir: str | None
    known: Inputs | None
    show: Callable[[int, int, str], None] | None

    @property
    def cache(self) -> Path:
        """The folder of decoded images."""
        return Path(self.cache_dir or "~/.cache/renate").expanduser()

    def table(self, whole: Table, columns: Columns, contents: Sequence[str], like: Any) -> Table:
        """Return a table with its images decoded, and without the rows of those that are left out.

        Args:
            whole: All but the images.
            columns: The images, a row each.
            contents: Hashes that say what the images are, in their order.
            like: The training images, for a test table; else None.

        Raises:
            DataError: An image is refused, or they are of another size than those before.
        """
        images, left_out = self._decoded(columns, contents)
        notes = list(whole.notes)
        if left_out:
            first = min(left_out)
            reason = left_out[first].partition(": ")[0]
            notes.append(
                f"{len(left_out)} of {length_of(columns)} images can't be decoded, and are left "
                f"out: {name_of(columns, first)}{reason}"
            )

        shape = None
        origin = "data.train"
        if like is not None:
            shape = like.shape[1:]
        if self.known is not None:
            shape = self.known.shape
            origin = "the state"

        where = name_of(columns, 0)
        images, said = as_those_before(images, shape, origin, where, is_test=like is not None)
        kept = np.array([row not in left_out for row in range(len(whole.targets))], bool)

        return whole._replace(
            inputs=images,
            targets=whole.targets[kept],
            files=_files(whole.files, kept),
            kept=_rows_kept(whole.files, kept) if left_out else whole.kept,
            notes=(*notes, *said),
        )

    def _decoded(
        self, columns: Columns, contents: Sequence[str]
    ) -> tuple[Tensor, Mapping[int, str]]:
        import PIL

        rules = [self.rules.shape, self.rules.fit, self.rules.corrupt]
        key = json.dumps([list(contents), rules, VERSION, PIL.__version__])
        path = self.cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
        found = mapped_by(self.rules, path, length_of(columns))
        if found is not None:
            return found

        return decode_by(self.rules, columns, path, self.show)


def _files(files: Sequence[File], kept: np.ndarray[Any, Any]) -> tuple[File, ...]:
    """The files with the rows that are kept of each; those of which none is are gone."""
    found = []
    begin = 0
    for file in files:
        rows = int(kept[begin : begin + file.rows].sum())
        begin += file.rows
        if rows:
            found.append(file._replace(rows=rows))

    return tuple(found)


def _rows_kept(
    files: Sequence[File], kept: np.ndarray[Any, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    """The numbers of the rows that are kept, of each file."""
    found = {}
    begin = 0
    for file in files:
        found[file.name] = np.flatnonzero(kept[begin : begin + file.rows])
        begin += file.rows

    return found


def placeholder(rows: int) -> Tensor:
    """Return inputs of so many rows that are still to be decoded."""
    return torch.empty(rows, 0)
