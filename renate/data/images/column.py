"""One column of encoded images in files: decoded, or as it was decoded before."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from renate.data.fingerprint import fingerprint
from renate.data.images.cache import decode_by, mapped
from renate.data.images.decode import VERSION
from renate.data.images.rules import ImageRules
from renate.data.images.shapes import as_those_before
from renate.data.kept.inputs import Inputs
from renate.data.table import Table
from renate.data.tables.parquet import Read
from renate.errors import DataError


@dataclass(frozen=True)
class ImageColumn:
    """How a column of images is decoded, and where the outcome is kept.

    Attributes:
        rules: What becomes of them.
        cache: The folder of what was decoded.
        show: See `Source.show`.
    """

    rules: ImageRules
    cache: Path
    show: Callable[[int, int, str], None] | None

    def decoded(
        self, files: list[str], reads: list[Read], wanted: Mapping[str, str]
    ) -> Tensor | None:
        """The images of these files as they were decoded before, if they were."""
        name = next(iter(wanted))
        if list(wanted.values()) != ["image"] or any(
            name not in read.table.column_names for read in reads
        ):
            return None

        path = self._place_of(files, name)
        for read in reads:
            if name in read.unread:
                # Or the path would be that of other content than was read
                read.unread[name].check()

        return mapped(path, sum(read.table.num_rows for read in reads), self.rules.shape)

    def decode(self, files: list[str], reads: list[Read], name: str) -> Tensor:
        """Decode a column of images, uint8 [N, C, H, W].

        Raises:
            DataError: One can't be read, or is of another size.
        """
        columns: list[tuple[str, Any]] = [
            (f"{file}: column '{name}'", read.column(name))
            for file, read in zip(files, reads, strict=True)
        ]
        return decode_by(self.rules, columns, self._place_of(files, name), self.show)[0]

    def read(
        self,
        files: list[str],
        reads: list[Read],
        wanted: Mapping[str, str],
        decoded: Tensor | None,
        known: Inputs | None,
        like: Table | None,
    ) -> tuple[str, Tensor, list[str]]:
        """Return where the images are, they as the state's, else as those of `like`, and what was
        done to them.

        Args:
            files: Their names.
            reads: What was read of them.
            wanted: name -> kind of the inputs.
            decoded: The images, if they were decoded before.
            known: The state's inputs.
            like: The training data, for a test table.

        Raises:
            DataError: There are inputs besides the images, or these are others than before.
        """
        name = next(name for name, kind in wanted.items() if kind == "image")
        if len(wanted) > 1:
            raise DataError(
                f"{files[0]}: column '{name}' holds images: data.inputs=['{name}'] uses it alone"
            )

        found = self.decode(files, reads, name) if decoded is None else decoded
        where = f"{files[0]}: column '{name}'"
        shape = None if like is None else like.inputs.shape[1:]
        origin = "data.train"
        if known is not None:
            shape = known.shape
            origin = "the state"

        images, notes = as_those_before(found, shape, origin, where, is_test=like is not None)
        return where, images, notes

    def _place_of(self, files: list[str], name: str) -> Path:
        """Where decoded images are kept, by all that decides the pixels: content, column, size,
        and what decodes.
        """
        import PIL

        content = fingerprint([files], self.cache)
        parts: list[Any] = [content, name, self.rules.shape, VERSION, PIL.__version__]
        if self.rules.fit != "stretch":
            parts.append(self.rules.fit)

        key = json.dumps(parts)
        return self.cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
