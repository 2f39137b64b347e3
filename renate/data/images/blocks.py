"""Blocks of encoded images, decoded here or by processes."""

import math
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from multiprocessing.connection import wait
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

from renate.data.images.decode import Layout
from renate.data.images.image_files import ImageFiles
from renate.data.images.worker import Answer, Block, Worker, write
from renate.data.tables.parquet import batches
from renate.errors import DataError

# Where they stand, for messages, and the images.
Columns = Sequence[tuple[str, Any]]
# A process more is worth its start for so many small images, or so many bytes of large ones.
IMAGES_PER_WORKER = 4_000
BYTES_PER_WORKER = 4 << 20
# What a block has at most: images, and bytes, encoded as well as decoded.
BLOCK_IMAGES = 256
BLOCK_BYTES = 4 << 20


def blocks_of(columns: Columns, layout: Layout, left_out: Collection[int] = ()) -> Iterator[Block]:
    """All images but some rows, in blocks that are small whatever their kind."""
    row = 0
    begin = 0
    for _, column in columns:
        largest = max(math.prod(layout.shape), column.nbytes // max(1, len(column)), 1)
        for images in encoded(column, max(1, min(BLOCK_IMAGES, BLOCK_BYTES // largest))):
            kept = [image for at, image in enumerate(images, row) if at not in left_out]
            row += len(images)
            yield Block(begin, kept)
            begin += len(kept)


def encoded(column: Any, rows: int) -> Iterator[list[bytes | None]]:
    """Give a column of encoded images in lists of at most so many, see `parquet.batches`."""
    if isinstance(column, ImageFiles):
        return column.batches(rows)
    return batches(column, rows)


def workers_for(path: Path, columns: Columns) -> list[Worker]:
    """Start as many processes as are worth it; none where this one is enough."""
    worth = 0.0
    for _, column in columns:
        worth += len(column) / IMAGES_PER_WORKER + column.nbytes / BYTES_PER_WORKER

    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1

    count = min(processors, int(worth))
    workers: list[Worker] = []
    # Where no process may be started, those that were, or this one, do it all
    with suppress(OSError):
        while len(workers) < count > 1:
            workers.append(Worker(path))

    return workers


def decode_here(
    file: FileIO, blocks: Iterator[Block], layout: Layout, start: int
) -> Iterator[tuple[Block, Answer]]:
    """Write the blocks, until one can't be."""
    for block in blocks:
        answer = write(file, block, layout, start)
        yield block, answer
        if answer.kind != "done":
            return


def decode_there(
    workers: list[Worker], blocks: Iterator[Block], layout: Layout, start: int
) -> Iterator[tuple[Block, Answer]]:
    """Have the blocks written, until one can't be; then only those before it, and some behind
    it.
    """
    idle = list(workers)
    busy: dict[int, tuple[Worker, Block]] = {}  # by the file descriptor of the answer
    following = next(blocks, None)

    while busy or following:
        while idle and following:
            worker = idle.pop()
            busy[worker.answers.fileno()] = (worker, following)
            with _told(worker, following):
                worker.send(following, layout, start)
            following = next(blocks, None)  # read while the processes decode

        for ready in cast(list[int], wait(list(busy))):
            worker, block = busy.pop(ready)
            with _told(worker, block):
                answer = worker.receive()

            idle.append(worker)
            if answer.kind != "done":
                blocks = iter(())
                following = None

            yield block, answer


@contextmanager
def _told(worker: Worker, block: Block) -> Iterator[None]:
    """Say that a process has died, as the system ends one that takes too much memory."""
    try:
        yield
    except (OSError, EOFError, UnpicklingError) as error:
        last = block.first + len(block.images) - 1
        raise DataError(
            f"images {block.first} to {last}: the process that decodes them has ended (exit code "
            f"{worker.end()}): is there too little memory?"
        ) from error
