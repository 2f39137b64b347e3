"""A state on a local disk, where what is written must be made durable."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import obstore as obs
from obstore.exceptions import GenericError
from obstore.store import LocalStore, ObjectStore

from renate.errors import StateError
from renate.state.store.objects import Entry, Store

STAGING = "staging"
UNFINISHED = r"#\d+$"  # how obstore calls a file that it is writing
FOLDERS = ("blobs", "versions", "pins", "aliases", STAGING)


def _entries(path: Path) -> Iterable["os.DirEntry[str]"]:
    """What a folder holds; nothing where there is none."""
    if not path.is_dir():
        return ()
    return os.scandir(path)


class Folder(Store):
    """A state on a local disk, where obstore never calls fsync: this class does. Opening creates
    nothing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        super().__init__(str(self.root))
        with self._explained("open", "the folder"):
            existing = next(path for path in (self.root, *self.root.parents) if path.exists())
            if not existing.is_dir():
                raise StateError(f"{existing}: is a file, expected a folder")

    @cached_property
    def _objects(self) -> ObjectStore:
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.url}: no such folder")
        return LocalStore(self.root)

    def _reason(self, error: Exception, verb: str, key: str) -> str:
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(" - ", 1)[-1][:300]
        return f"can't {verb} {key}: {reason}"

    def get(self, key: str, size: int = 0) -> memoryview:
        """Return a file's bytes; `size` plays no part, it is read in one piece.

        Raises:
            FileNotFoundError: There is no such file, or no folder.
        """
        return self._ask("read", key, lambda objects: memoryview(obs.get(objects, key).bytes()))

    def list(self, folder: str) -> list[Entry]:
        """List a folder's files, sorted by key, without those that obstore is still writing."""
        # Not obstore's: it leaves out, in silence, a file whose stat fails, and gc would take that
        # version's blobs.
        path = self.root / folder
        found = []
        with self._explained("list", f"{folder}/"):
            for file in _entries(path):
                if re.search(UNFINISHED, file.name):
                    continue
                with suppress(FileNotFoundError):  # deleted meanwhile
                    known = file.stat()
                    found.append(Entry(f"{folder}/{file.name}", known.st_size, known.st_mtime))

        return sorted(found)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete files; an absent one is no error, nor is an absent state."""
        if self.root.is_dir():
            super().delete(keys)

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write a file; its bytes and the folders above it are durable then, its name not yet."""
        path = self.root / key
        with self._explained("write", key):
            _make(path.parent)
            obs.put(self._objects, key, memoryview(data).cast("B"), use_multipart=False)
            _fsync(path)

    def create(self, key: str, data: bytes) -> None:
        """Write a file, durably, if its name is free.

        Raises:
            FileExistsError: The name is taken.
            StateError: The file can't be written, or the file system has no hard links.
        """
        # The bytes must be durable before the name is, so they get their name by a hard link.
        with self._explained("create", key), self._staged(data) as staged:
            _make((self.root / key).parent)
            try:
                obs.copy(self._objects, staged, key, overwrite=False)
            except GenericError as error:
                reason = str(error).splitlines()[0].rpartition(": ")[2]
                raise StateError(
                    f"{self.url}: can't make a hard link to {key} ({reason}); a state needs a file "
                    "system with hard links: put it on another disk or into an object store"
                ) from error

            self.sync(key.split("/")[0])

    def replace(self, key: str, data: bytes) -> None:
        """Write a file, durably, over what was there, by renaming one that is complete."""
        with self._explained("write", key), self._staged(data) as staged:
            _make((self.root / key).parent)
            obs.rename(self._objects, staged, key, overwrite=True)
            self.sync(key.split("/")[0])

    @contextmanager
    def _staged(self, data: bytes) -> Iterator[str]:
        key = f"{STAGING}/{uuid4().hex}"
        try:
            self.put(key, data)
            yield key
        finally:
            self.delete([key])

    def sync(self, folder: str) -> None:
        """Make the names in a folder durable, and those in the state's folder and in the one above
        it.
        """
        # The folders above as well: a writer that was killed may have made them without getting
        # that far.
        for path in (self.root / folder, self.root, self.root.parent):
            with self._explained("sync", f"{folder}/"), suppress(FileNotFoundError):
                _fsync(path)

    def sweep(self, before: float) -> int:
        """Remove old files in staging/ and obstore's `name#1`, which its listings hide."""
        removed = 0
        for folder in FOLDERS:
            path = self.root / folder
            for file in _entries(path):
                if folder == STAGING or re.search(UNFINISHED, file.name):
                    with suppress(FileNotFoundError):  # its writer just gave it its name
                        if file.stat().st_mtime < before:
                            Path(file.path).unlink()
                            removed += 1

        return removed


def _make(folder: Path) -> None:
    """Make a folder and its parents, durably."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _fsync(folder.parent)  # where this fails, the commit's sync tries again


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
