"""Blobs go up and down several at a time, and never all of them are in memory."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from uuid import uuid4

from renate.errors import CorruptError
from renate.state.cache import Cache
from renate.state.manifest import Blob
from renate.state.store import Store

THREADS = 8

A = TypeVar("A")
B = TypeVar("B")


def parallel(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Like map, in threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def put(store: Store, data: bytes | memoryview, known: dict[str, Blob]) -> Blob:
    """Upload bytes under a fresh key, unless `known` (by SHA-256) has them."""
    digest = hashlib.sha256(data).hexdigest()
    if digest in known:
        return known[digest]
    blob = Blob(f"blobs/{digest}-{uuid4().hex[:8]}", digest, memoryview(data).nbytes)
    store.put(blob.key, data)
    return blob


def put_all(
    place: Callable[[str, bytes | None], Blob], files: Iterable[tuple[str, bytes | None]]
) -> dict[str, Blob]:
    """Apply `place` to every file, in threads, while the next is made; at most `THREADS` + 1 are
    held.
    """
    blobs: dict[str, Blob] = {}
    waiting: deque[tuple[str, Future[Blob]]] = deque()

    with ThreadPoolExecutor(THREADS) as pool:
        for name, data in files:
            waiting.append((name, pool.submit(place, name, data)))
            if len(waiting) == THREADS:
                first, future = waiting.popleft()
                blobs[first] = future.result()
        blobs.update((name, future.result()) for name, future in waiting)

    return blobs


def fetch(store: Store, blob: Blob, cache: Cache | None = None) -> memoryview:
    """Download a blob and verify it, or take it from a cache.

    Raises:
        CorruptError: What is wrong with it, as the end of a sentence.
    """
    if cache is not None and (kept := cache.get(blob)) is not None:
        return kept

    try:
        data = store.get(blob.key, blob.size)
    except FileNotFoundError:
        raise CorruptError("is missing") from None

    if len(data) != blob.size:
        raise CorruptError(f"has {len(data)} bytes instead of {blob.size}")
    if hashlib.sha256(data).hexdigest() != blob.sha256:
        raise CorruptError("has other bytes than were published (SHA-256 differs)")
    if cache is not None:
        cache.put(blob, data)

    return data
