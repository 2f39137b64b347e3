"""Tables that name images of this machine: the images travel with the table that names them."""

import hashlib
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from renate.data.fingerprint import Hashes, expand
from renate.data.tables.csv_files.dialect import Dialect
from renate.errors import ConfigError, DataError
from renate.jobs.identity.data_files import is_local, moved_to

IMAGE_TABLE = "renate.data.images.sources.table.ImageTable"


@dataclass(frozen=True)
class TravellingTables:
    """The tables of a source that travel to a URL. One lies there below the hash of its content
    and of the images that it names by paths, and so do these, each at its path: seen from the
    table, all are where they were.

    Args:
        node: The group `data`, resolved.
        known: Remembers contents.
        data: Gets the local files, by key below the URL.
    """

    node: Mapping[str, Any]
    known: Hashes
    data: dict[str, Path]

    @property
    def folder(self) -> str | None:
        """`data.folder`."""
        found = self.node.get("folder")
        return None if found is None else str(found)

    def moved(self, staging: str) -> dict[str, Any]:
        """Return what the keys of the data are where their local files lie below a URL.

        Raises:
            ConfigError: A path of a table can't be the same elsewhere.
            DataError: A table that can't be read, or names an image that isn't there.
        """
        found: dict[str, Any] = {}
        for key in ("train", "test"):
            patterns = self.node.get(key)
            if patterns is None:
                continue

            self._check_remote(key, patterns)
            digest: Callable[[Path], str] = partial(self._digest, key)
            found[key] = moved_to(staging, patterns, f"data.{key}", digest, self.data)

        if self.folder is not None and is_local(self.folder):
            found["folder"] = None

        return found

    def _check_remote(self, key: str, patterns: Any) -> None:
        """Return if no table elsewhere names images by where they are below a folder here."""
        if self.folder is None or not is_local(self.folder):
            return

        remote = [file for file in expand(patterns, f"data.{key}") if not is_local(file)]
        if remote:
            raise ConfigError(
                f"data.folder={self.folder} is a folder of this machine, {remote[0]} isn't here: "
                "upload the images, and let data.folder say where, as s3://bucket/photos"
            )

    def _digest(self, key: str, file: Path) -> str:
        """The hash of a table, and of the images that travel with it, which are noted."""
        images = dict(self._images(key, file))
        if not images:
            return self.known.of(file)

        hashed = hashlib.sha256(self.known.of(file).encode())
        for path, image in sorted(images.items()):
            hashed.update(f"\0{path}\0{self.known.of(image)}".encode())

        digest = hashed.hexdigest()
        self.data.update({f"data/{digest}/{path}": image for path, image in images.items()})
        return digest

    def _images(self, key: str, file: Path) -> Iterator[tuple[str, Path]]:
        """Yield (path, file) of the images that a table names by paths of this machine."""
        folder = self.folder
        if folder is not None and not is_local(folder):
            return

        if folder is None:
            place = file.parent
        else:
            place = Path(folder.removeprefix("file://")).expanduser()

        for row, named in enumerate(self._named(file)):
            if named is None or not is_local(named):
                continue

            path = posixpath.normpath(named)
            if named.startswith(("/", "~", "file:")) or path.startswith(".."):
                raise ConfigError(
                    f"data.{key}: {file}: row {row} (the first is 0) names {named}, and "
                    "elsewhere paths can only be relative to the table, or to data.folder: make "
                    "them so, or use data=image_folder"
                )
            if not (place / path).is_file():
                raise DataError(
                    f"{file}: row {row} (the first is 0) names {place / path}, which isn't there: "
                    "data.folder=… says what paths are relative to"
                )
            yield path, place / path

    def _named(self, file: Path) -> list[str | None]:
        """The column of images of a table, where it has paths."""
        from renate.data.tables.columns import is_text
        from renate.data.tables.read import read_files

        name = str(self.node["image"])
        read = read_files([str(file)], Dialect.of(self.node.get("csv")), [name])[str(file)]
        if name not in read.table.column_names or not is_text(read.table.column(name).type):
            return []

        found: list[str | None] = read.table.column(name).to_pylist()
        return found


def moved_files(
    node: Mapping[str, Any],
    files: Mapping[str, Any],
    staging: str,
    known: Hashes,
    data: dict[str, Path],
) -> dict[str, Any]:
    """Return what keys of the data are where their local files lie below a URL, as far as that
    changes them.

    Args:
        node: The group `data`, resolved.
        files: key -> what it names, see `renate.jobs.identity.data_files.files_of`.
        staging: The URL.
        known: Remembers contents.
        data: Gets the local files, by key below `staging`.

    Raises:
        ConfigError: See `TravellingTables.moved`.
        DataError: A pattern that matches nothing, or see there.
    """
    if node.get("_target_") == IMAGE_TABLE:
        moved = TravellingTables(node, known, data).moved(staging)
    else:
        moved = {
            key: moved_to(staging, patterns, f"data.{key}", known.of, data)
            for key, patterns in files.items()
        }

    return {key: value for key, value in moved.items() if key not in files or value != files[key]}
