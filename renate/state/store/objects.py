"""A state in an object store: S3, GCS, Azure."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import NamedTuple, TypeVar

import obstore as obs
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import ObjectStore

from renate.errors import StateError
from renate.object_store.connect import connect
from renate.object_store.credentials import NoAccessError
from renate.object_store.explain import explain, is_broken_off, is_expired
from renate.object_store.multipart import download, upload
from renate.state.store.meter import Meter

READS = ("read", "delete")  # that an object is absent is an answer for these alone

T = TypeVar("T")


class Entry(NamedTuple):
    """What a listing says of one object; `modified` is in seconds since the epoch, by the
    store's clock.
    """

    key: str
    size: int
    modified: float


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
