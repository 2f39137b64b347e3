"""One memory in several shards, a shard per process: how they stay one, and how the first process gets them all."""

import math
from typing import Any

import torch

from renate.data.batch import Columns
from renate.memory.base import Memory
from renate.memory.columns import Schema
from renate.ranks import Ranks

PIECE = 1 << 24  # bytes sent at a time


def settle(memory: Memory, ranks: Ranks) -> None:
    """Let every shard's ids go on after the last one given out: where shares were even, ids then have no gap."""
    if ranks.alone:
        return
    counters = ranks.gather((memory.count, memory.draws))
    memory.hear([count for count, _ in counters])
    memory.enter(*(max(own) - ranks.size + 1 for own in zip(*counters, strict=True)))


def merge(memory: Memory, ranks: Ranks) -> None:
    """Bring every shard to the first process, whose memory then is the whole; the others' are of no use any more."""
    if ranks.alone:
        return
    settle(memory, ranks)
    facts = ranks.gather((memory.size, memory.store.schema, memory.keys(), memory.segments.where(memory.size)))
    if not ranks.first:
        _send(memory, ranks)
        return
    total = sum(size for size, *_ in facts)
    schema: Schema = next((schema for _, schema, *_ in facts if schema), {})
    if total:
        memory.store.reserve(memory.capacity if memory.capacity is not None else total, schema)
    for rank, (size, _, more, where) in enumerate(facts[1:], 1):
        _receive(memory, ranks, rank, size)
        memory.absorb(size, more, where)


def _pieces(size: int, row: int) -> list[tuple[int, int]]:
    step = max(1, PIECE // max(1, row))
    return [(begin, min(begin + step, size)) for begin in range(0, size, step)]


def _send(memory: Memory, ranks: Ranks) -> None:
    columns = memory.columns() if memory.size else {}
    for name in sorted(columns):
        column = columns[name]
        for begin, end in _pieces(len(column), column[:1].nbytes):
            ranks.send(_bytes(column[begin:end]))


def _receive(memory: Memory, ranks: Ranks, rank: int, size: int) -> None:
    columns: Columns = memory.store.columns
    for name in sorted(columns) if size else []:
        dtype, shape = memory.store.schema[name]
        row = dtype.itemsize * math.prod(shape)
        for begin, end in _pieces(size, row):
            buffer = ranks.receive(torch.empty((end - begin) * row, dtype=torch.uint8), rank)
            rows: Any = buffer.view(dtype).view((end - begin, *shape))
            columns[name][memory.size + begin : memory.size + end] = rows


def _bytes(column: torch.Tensor) -> torch.Tensor:
    return column.contiguous().flatten().view(torch.uint8)
