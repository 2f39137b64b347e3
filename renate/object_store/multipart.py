"""Large objects go up and down in parts, several side by side."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import obstore
from obstore.store import ObjectStore

PART = 8 << 20  # bytes
UP, DOWN = 2, 4  # parts of one object side by side; callers have several objects under way

# Makes a request of a store: gives it the store
Ask = Callable[[Callable[[ObjectStore], Any]], Any]
Moved = Callable[[int], None]  # takes the bytes of a part that has moved


def uncounted(count: int) -> None:
    """Count nothing."""


def download(ask: Ask, key: str, size: int, moved: Moved = uncounted) -> memoryview:
    """Return an object's bytes; if it hasn't the size that was expected, all that there is.

    Args:
        ask: Called from several threads.
        key: Of the object.
        size: In bytes.
        moved: Called from several threads.
    """
    if size <= PART:
        return _whole(ask, key)

    there, first = ask(lambda objects: _beginning(objects, key))
    if there != size:
        return _whole(ask, key)

    data = memoryview(bytearray(size))

    def place(begin: int, part: memoryview) -> None:
        data[begin : begin + len(part)] = part
        moved(len(part))

    def load(begin: int) -> None:
        end = min(begin + PART, size)
        place(
            begin,
            ask(lambda objects: memoryview(obstore.get_range(objects, key, start=begin, end=end))),
        )

    place(0, first)
    with ThreadPoolExecutor(DOWN) as pool:
        for _ in pool.map(load, range(PART, size, PART)):
            pass  # an error of any part is raised here

    return data


def upload(objects: ObjectStore, key: str, data: memoryview, moved: Moved = uncounted) -> None:
    """Write an object; a large one isn't there before its last part is."""
    if len(data) <= PART:
        obstore.put(objects, key, data, use_multipart=False)
    else:
        parts = _pieces(data, moved)
        obstore.put(objects, key, parts, use_multipart=True, chunk_size=PART, max_concurrency=UP)


def _whole(ask: Ask, key: str) -> memoryview:
    whole: memoryview = ask(lambda objects: memoryview(obstore.get(objects, key).bytes()))
    return whole


def _beginning(objects: ObjectStore, key: str) -> tuple[int, memoryview]:
    """An object's size, and its first part."""
    found = obstore.get(objects, key, options={"range": (0, PART)})
    return found.meta["size"], memoryview(found.bytes())


def _pieces(data: memoryview, moved: Moved) -> Iterator[memoryview]:
    """Cut bytes into parts, each counted when the next is asked for."""
    for begin in range(0, len(data), PART):
        piece = data[begin : begin + PART]
        yield piece
        moved(len(piece))
