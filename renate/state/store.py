"""The one door to local folders, S3, GCS and Azure: durable writes, create-if-absent."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import obstore as obs
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError
from obstore.store import LocalStore, ObjectStore

from renate.errors import StateError, nearest
from renate.objects.connect import connect
from renate.objects.credentials import NoAccessError
from renate.objects.explain import explain, is_broken_off, is_expired
from renate.objects.parts import download, upload
from renate.state.meter import Meter

SCHEMES = ("file", "s3", "gs", "az")
STAGING = "staging"
UNFINISHED = r"#\d+$"  # how obstore calls a file that it is writing
FOLDERS = ("blobs", "versions", "pins", STAGING)
READS = ("read", "delete")  # that an object is absent is an answer for these alone

T = TypeVar("T")


class Entry(NamedTuple):
    """What a listing says of one object; `modified` is in seconds since the epoch, by the
    store's clock.
    """

    key: str
    size: int
    modified: float


def open_store(url: str) -> "Store":
    """Open a folder (a path, or file:///path) or an object store (s3://bucket/path, gs://…,
    az://container/…).

    Nothing is created or contacted before the first read or write.

    Raises:
        StateError: The URL can't be one of a state.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        if not url or url.split(":")[0] in SCHEMES:
            raise StateError(f"'{url}': expected a folder or a URL such as s3://bucket/path")
        return Folder(Path(url))

    if scheme not in SCHEMES:
        allowed = ", ".join(f"{name}://" for name in SCHEMES)
        raise StateError(
            f"{url}: unknown scheme '{scheme}', expected a folder or "
            f"{allowed}{nearest(scheme, SCHEMES)}"
        )

    if scheme == "file":
        if not rest.startswith("/"):
            raise StateError(f"{url}: expected an absolute path, as in file:///folder")
        return Folder(Path(unquote(urlsplit(url).path)))

    if not rest.strip("/"):
        raise StateError(f"{url}: names no bucket, expected {scheme}://bucket/path")

    return Store(url.rstrip("/"))


class Store:
    """Objects by key under a URL; this class speaks to object stores, `Folder` to a local disk.

    Raises (all methods):
        StateError: The store can't be reached, or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.up = Meter("uploading")
        self.down = Meter("downloading")

    @cached_property
    def _objects(self) -> ObjectStore:
        return connect(self.url)

    def _ask(self, verb: str, key: str, request: Callable[[ObjectStore], T]) -> T:
        """Make a request, which may be made twice: whoever reads "taken" after a create looks at
        the writer.
        """
        with self._explained(verb, key):
            try:
                return request(self._objects)
            except (BaseError, OSError) as error:
                if is_expired(error):
                    self._objects = connect(self.url, renewed=True)
                elif not is_broken_off(error):
                    raise
                return request(self._objects)

    @contextmanager
    def _explained(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, NoAccessError) as error:
            if isinstance(error, AlreadyExistsError | PreconditionError) and verb == "create":
                raise FileExistsError(key) from error
            if (
                isinstance(error, FileNotFoundError)
                and verb in READS
                and "NoSuchBucket" not in str(error)
            ):
                raise
            raise StateError(f"{self.url}: {self._reason(error, verb, key)}") from error

    def _reason(self, error: Exception, verb: str, key: str) -> str:
        return explain(error, self.url, verb, key)

    def get(self, key: str, size: int = 0) -> memoryview:
        """Return an object's bytes; `size`, where it is known, lets a large one come in parts side
        by side.

        Raises:
            FileNotFoundError: There is none.
        """
        with self.down.counting(key, size) as moved:
            return download(partial(self._ask, "read", key), key, size, moved)

    def list(self, folder: str) -> list[Entry]:
        """List a folder's objects, sorted by key; an absent folder is empty."""
        found = self._ask(
            "list", f"{folder}/", lambda objects: obs.list(objects, prefix=folder).collect()
        )
        return sorted(Entry(o["path"], o["size"], o["last_modified"].timestamp()) for o in found)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; an absent one is no error: another gc was first."""
        if not keys:
            return

        try:
            self._ask("delete", keys[0], lambda objects: obs.delete(objects, keys))
        except FileNotFoundError:  # only some stores say so, and what follows may be left
            for key in keys:
                with suppress(FileNotFoundError):
                    self._ask("delete", key, partial(obs.delete, paths=key))

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write an object under a key that nobody else writes."""
        view = memoryview(data).cast("B")

        def write(objects: ObjectStore) -> None:
            with self.up.counting(key, len(view)) as moved:
                upload(objects, key, view, moved)

        self._ask("write", key, write)

    def create(self, key: str, data: bytes) -> None:
        """Write an object, durably, if the key is free; one plain PUT.

        Raises:
            FileExistsError: The key is taken. On S3 also if an earlier try of ours got through and
                its answer was lost, or if somebody is creating it at this moment, who may fail.
        """
        self._ask(
            "create",
            key,
            lambda objects: obs.put(objects, key, data, mode="create", use_multipart=False),
        )

    def replace(self, key: str, data: bytes) -> None:
        """Write an object, durably, over what was there; a reader sees the old bytes or the new
        ones.
        """
        self._ask("write", key, lambda objects: obs.put(objects, key, data, use_multipart=False))

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store, which no byte leaves."""
        self._ask("copy", source, lambda objects: obs.copy(objects, source, target))

    def sync(self, folder: str) -> None:
        """Make the names in a folder durable; an object store's are."""

    def sweep(self, before: float) -> int:
        """Remove what killed writers left before a time (seconds since the epoch); return how
        many files.
        """
        return 0


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
            for file in os.scandir(path) if path.is_dir() else ():
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
                    "system "
                    "with hard links: put it on another disk or into an object store"
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
            for file in os.scandir(path) if path.is_dir() else ():
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
