"""One memory in several shards, a shard per process: how they stay one, and come together again."""

import math
from typing import Any

import numpy as np
import torch

from renate.data.batch import Columns
from renate.data.ragged import Ragged
from renate.memory.base import Values
from renate.memory.random import Ints
from renate.memory.store.columns import Schema
from renate.memory.store.memory import Memory
from renate.memory.store.segments import Index
from renate.ranks import Ranks

PIECE = 1 << 24  # bytes sent at a time


def sync_counts(memory: Memory, counts: list[int]) -> None:
    """After a step: let a shard know how far each process is.

    It lets go what is no longer among what the whole memory keeps, as far as that can be told.

    Args:
        memory: The shard.
        counts: The `count` of each process.
    """
    moves = memory.policy.sync_counts(counts)
    if moves is not None:
        memory.move(*moves)


def align_ids(memory: Memory, ranks: Ranks) -> None:
    """At the end of an epoch: let the shards together be what one process would keep.

    Every shard's ids go on after the last one given out: where shares were even, they have no gap.
    """
    if ranks.alone:
        return

    counters = ranks.gather((memory.count, memory.draws))
    sync_counts(memory, [count for count, _ in counters])
    count, draws = (max(own) - ranks.size + 1 for own in zip(*counters, strict=True))
    memory.start_at(count, draws)
    if memory.capacity is not None:
        _let_go(memory, ranks, memory.capacity)


def _let_go(memory: Memory, ranks: Ranks, capacity: int) -> None:
    """Drop what isn't kept of all shards together, where a step's counts alone couldn't tell."""
    sizes = ranks.gather(memory.size)
    if sum(sizes) <= capacity:
        return

    shards = ranks.gather(memory.policy.values())
    values = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    kept = memory.policy.select(values, sum(sizes)) - sum(sizes[: ranks.rank])
    _keep(memory, kept[(kept >= 0) & (kept < memory.size)])


def _keep(memory: Memory, slots: Ints) -> None:
    """Keep only some slots, ascending; the examples that lie beyond move into the gaps."""
    size = len(slots)
    gaps = np.setdiff1d(np.arange(size), slots)
    order = np.arange(size)
    order[gaps] = slots[slots >= size]
    values = memory.policy.values()
    memory.policy.restore({name: own[order] for name, own in values.items()})
    memory.move(order[gaps], gaps, size)


def merge(memory: Memory, ranks: Ranks) -> None:
    """Bring every shard to the first process, whose memory then is the whole one.

    The others' are of no use any more.
    """
    if ranks.alone:
        return

    align_ids(memory, ranks)
    where = memory.segments.where(memory.size)
    facts = ranks.gather((memory.size, memory.store.schema, memory.policy.values(), where))
    if not ranks.first:
        _send(memory, ranks)
        return

    total = sum(size for size, *_ in facts)
    schema: Schema = next((schema for _, schema, *_ in facts if schema), {})
    if total:
        rows = total
        if memory.capacity is not None:
            rows = memory.capacity

        memory.store.reserve(rows, schema)

    for rank, (size, _, values, where) in enumerate(facts[1:], 1):
        _receive(memory, ranks, rank, size)
        _append(memory, size, values, where)


def _append(memory: Memory, size: int, values: Values, where: Index) -> None:
    """Take over another shard, whose rows lie in the store already, after the own ones."""
    own = memory.policy.values()
    memory.segments.append(where, memory.size)
    memory.size += size
    both = {name: np.concatenate([own[name], values[name]]) for name in own}
    memory.policy.restore(both)


def _pieces(size: int, row: int) -> list[tuple[int, int]]:
    step = max(1, PIECE // max(1, row))
    return [(begin, min(begin + step, size)) for begin in range(0, size, step)]


def _send(memory: Memory, ranks: Ranks) -> None:
    columns: Columns = memory.columns() if memory.size else {}
    for name in sorted(columns):
        column = columns[name]
        if isinstance(column, Ragged):
            packed = column.pack()
            _send_pieces(packed.lengths, ranks)
            _send_pieces(packed.values, ranks)
        else:
            _send_pieces(column, ranks)


def _send_pieces(column: torch.Tensor, ranks: Ranks) -> None:
    if len(column):
        for begin, end in _pieces(len(column), column[:1].nbytes):
            ranks.send(_bytes(column[begin:end]))


def _receive(memory: Memory, ranks: Ranks, rank: int, size: int) -> None:
    if not size:
        return

    slots = torch.arange(memory.size, memory.size + size)
    for name, kind in sorted(memory.store.schema.items()):
        if kind.padding is not None:
            lengths = _receive_rows(ranks, rank, size, torch.int64, ())
            values = _receive_rows(ranks, rank, int(lengths.sum()), kind.dtype, kind.shape)
            memory.store.ragged[name].put(slots, Ragged.packed(values, lengths, kind.padding))
        else:
            column = memory.store.columns[name][memory.size : memory.size + size]
            _receive_into(column, ranks, rank)


def _receive_rows(
    ranks: Ranks, rank: int, rows: int, dtype: torch.dtype, shape: tuple[int, ...]
) -> torch.Tensor:
    column = torch.empty((rows, *shape), dtype=dtype)
    _receive_into(column, ranks, rank)
    return column


def _receive_into(column: torch.Tensor, ranks: Ranks, rank: int) -> None:
    shape = column.shape[1:]
    row = column.dtype.itemsize * math.prod(shape)
    for begin, end in _pieces(len(column), row):
        buffer = ranks.receive(torch.empty((end - begin) * row, dtype=torch.uint8), rank)
        rows: Any = buffer.view(column.dtype).view((end - begin, *shape))
        column[begin:end] = rows


def _bytes(column: torch.Tensor) -> torch.Tensor:
    return column.contiguous().flatten().view(torch.uint8)
