"""Images that a table names by their paths, or holds."""

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from renate.data.base import Source
from renate.data.fingerprint import contents
from renate.data.images.image_files import ImageFiles
from renate.data.images.rules import ImageRules
from renate.data.images.sources.reading import ImageReader, placeholder
from renate.data.kept.reading import check_test_size
from renate.data.kept.trained import AGAIN
from renate.data.named.once import without_copies
from renate.data.named.rows import Paths, Rows, check_target, read_named
from renate.data.table import File, Readable, Table
from renate.data.tables.columns import is_image, is_text
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.parquet import Read
from renate.errors import ConfigError, DataError


@dataclass(kw_only=True)
class ImageTable(Source):
    """A table with a column of images, encoded or as paths, and a target.

    Each becomes uint8 [C, H, W] as a viewer shows it, decoded once by all processors and kept.

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such, each a column of the accuracy matrix; null holds
            `test_size` of `train` out.
        test_size: The fraction that is held out where `test` is null, the same for every seed.
        image: The column of images: encoded, or paths or URLs of files.
        target: The column to predict.
        folder: What paths are relative to; null is the folder of each table.
        image_size: [height, width]; null takes images as they are, all of one size.
        image_fit: How an image of another shape gets there: `stretch`, `crop` or `pad`.
        corrupt: What becomes of images that can't be decoded: `error`, or `skip` leaves them out
            and says how many.
        cache_dir: Where decoded images are kept; null is ~/.cache/renate.
        csv: See `Dialect`.
        seen: `new` trains on files that no earlier version has trained on, `again` on all.
        max_ram: Bytes of images that still lie in memory once some are held out; more lie in mapped
            files in `cache_dir`. Null is no bound.
    """

    train: Paths
    test: Paths | Mapping[str, Paths] | None
    test_size: float
    image: str
    target: str
    folder: str | None
    image_size: Sequence[int] | None
    image_fit: str
    corrupt: str
    cache_dir: str | None
    csv: Mapping[str, Any] | None = None
    seen: str = AGAIN
    max_ram: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_test_size(self.test, self.test_size)
        self.dialect = Dialect.of(self.csv)
        self.rules = ImageRules(self.image_size, self.image_fit, self.corrupt)
        self.image = str(self.image)
        self.target = str(self.target)
        if self.image == self.target:
            raise ConfigError(f"data.image={self.image} is data.target too: name another column")

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read the tables, and decode the images that they name or hold.

        Raises:
            DataError: No such file, a table without the columns, or an image that is refused.
            ConfigError: `target` isn't that of the state.
        """
        check_target(self.target, self.known.target if self.known else None)
        # Tables of equal content may name images of their own, in their folders
        train, tests = read_named(
            self.train,
            self.test,
            [self.image],
            self.target,
            self.dialect,
            self.trained,
            copies=True,
        )
        table = self._table(self._without_copies(train), None)
        if self.test is None:
            return table, self.test_size

        return table, {name: self._table(rows, table.inputs) for name, rows in tests.items()}

    def _without_copies(self, rows: Rows) -> Rows:
        """The training rows without the tables that hold, and name, what another does."""
        if self.seen == AGAIN:
            return rows

        content = {file.name: file.content for file, _ in self._listed(rows)}
        files, said = without_copies(rows.files, content)
        read = dict(zip(rows.files, rows.reads, strict=True))
        notes = (*rows.notes, *said)
        return replace(rows, files=files, reads=[read[file] for file in files], notes=notes)

    def _listed(self, rows: Rows) -> list[tuple[File, Any]]:
        """Each table, its content with that of the images that it names, and its column of
        images.
        """
        reader = ImageReader(self.rules, self.cache_dir, self.known, self.show)
        found = []
        for kept, read in zip(rows.kept(reader.cache), rows.reads, strict=True):
            column = self._images(kept.name, read)
            if isinstance(column, ImageFiles):
                named = contents(column.paths, reader.cache)
                kept = kept._replace(content=_together([kept.content, *named]), sha256=None)
            found.append((kept, column))

        return found

    def _table(self, rows: Rows, like: Any) -> Table:
        reader = ImageReader(self.rules, self.cache_dir, self.known, self.show)
        listed = self._listed(rows)
        files = [file for file, _ in listed]
        hashes = [file.content for file in files]
        columns = [(f"{file.name}: column '{self.image}'", column) for file, column in listed]
        whole = Table(
            placeholder(sum(rows.counts)),
            rows.targets(),
            columns=((self.image, "image"),),
            files=tuple(files),
            target=self.target,
            target_kind=rows.target_kind,
            notes=rows.notes,
            where=rows.where,
            skipped=rows.skipped,
        )
        return reader.table(whole, columns, [self.image, *hashes], like)

    def _images(self, file: str, read: Read) -> Any:
        """The column of images of one file.

        Raises:
            DataError: It is neither images nor paths, or a path leads nowhere.
        """
        column = read.column(self.image)
        if is_image(column.type):
            return column
        if not is_text(column.type):
            raise DataError(
                f"{file}: column '{self.image}' is {column.type}, expected encoded images or paths"
            )

        folder = self.folder
        if folder is None:
            folder = file.rpartition("/")[0]

        paths = [path_in(folder, path) for path in column.to_pylist()]
        lost = [row for row, path in enumerate(paths) if "://" not in path and not _is_file(path)]
        if lost:
            raise DataError(
                f"{file}: row {lost[0]} (the first is 0) names {paths[lost[0]]}, which isn't there "
                f"({len(lost)} of {len(paths)} images are missing): data.folder=… says what paths "
                "are relative to"
            )

        return ImageFiles(paths)


def _together(contents: Sequence[str]) -> str:
    """One content for a table and the images that it names."""
    return hashlib.sha256("\0".join(contents).encode()).hexdigest()


def path_in(folder: str, path: str) -> str:
    """Return where a path leads that a table has, whose own are relative to a folder."""
    if "://" in path or path.startswith(("/", "~")) or not folder:
        return path if "://" in path else str(Path(path).expanduser())
    if "://" in folder:  # a store has no './'
        path = posixpath.normpath(path)
    return f"{folder.rstrip('/')}/{path}"


def _is_file(path: str) -> bool:
    return Path(path).is_file()
