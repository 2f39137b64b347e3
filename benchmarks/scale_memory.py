"""A memory of up to 10⁸ examples in 64 shards, one of which is run; and one process's memory."""

import time
from collections.abc import Callable

import numpy as np
import torch
from exponents import cpu, head, in_child, resident, row, up_to
from machine import write

from renate.data.batch import BatchTransform, Columns
from renate.memory.base import Policy
from renate.memory.class_balanced import ClassBalanced
from renate.memory.reservoir import Reservoir
from renate.memory.store.columns import schema_of
from renate.memory.store.memory import Memory

RANKS = 64
BATCH = 64  # rows a step, of each process
STEPS = 800
SHARDED = (100_000, 1_000_000, 10_000_000, 100_000_000)
ALONE = (10_000, 100_000, 1_000_000, 10_000_000)
BY_CLASS = (10_000, 100_000, 1_000_000)
CLASSES = 1000


def shard(capacity: int) -> tuple[float, float, float]:
    """Milliseconds a step of one of the shards' index arithmetic, of a draw from it, and its MB.

    It begins as if twice as many examples had been offered as there is room for: their keys are
    then the upper half of (0, 1), and every 64th of them is of this shard.
    """
    before = resident()
    memory = Memory(Reservoir(capacity), None)
    memory.bind(seed=1, transform=BatchTransform(), rank=0, ranks=RANKS)
    policy = memory.policy
    assert isinstance(policy, Reservoir)
    assert policy.whole is not None
    offered = 2 * capacity
    generator = np.random.default_rng(0)
    keys = 0.5 + 0.5 * generator.random(capacity)
    policy.whole.set(keys)
    policy.top.set(keys[::RANKS])
    del keys
    memory.start_at(offered, 0)
    memory.size = policy.top.size
    fill(memory)

    began = time.process_time()
    for step in range(1, STEPS + 1):
        memory.add_columns(rows_of(BATCH))
        counts = [offered + step * BATCH * RANKS + rank for rank in range(RANKS)]
        moves = policy.sync_counts(counts)
        if moves is not None:
            memory.move(*moves)

    each = 1e3 * (time.process_time() - began) / STEPS
    grown = (resident() - before) / 2**20
    assert memory.size == policy.top.size
    assert policy.whole.size == capacity
    assert abs(memory.size - capacity / RANKS) < 8 * np.sqrt(capacity / RANKS) + BATCH
    assert float(policy.top.key[: policy.top.size].min()) >= policy.whole.least()

    began = time.process_time()
    for _ in range(STEPS):
        memory.sample(BATCH)

    drawn = 1e3 * (time.process_time() - began) / STEPS
    return each, drawn, grown


def fill(memory: Memory) -> None:
    """Give each slot a row."""
    columns = rows_of(memory.size)
    memory.store.reserve(memory.rows_for(memory.size), schema_of(columns))
    memory.store.put(torch.arange(memory.size), torch.arange(memory.size), columns)
    memory.segments.touch(np.arange(memory.size), memory.size)


def rows_of(count: int) -> Columns:
    return {
        "inputs": torch.zeros(count, 1, dtype=torch.uint8),
        "targets": torch.arange(count) % CLASSES,
    }


def alone(make: Callable[[int], Policy], capacity: int) -> dict[str, float]:
    """Of one process: milliseconds of a step, and seconds of a save that changes what the steps
    changed, the next after one that wrote everything, and of a load.
    """
    memory = Memory(make(capacity), None)
    memory.bind(seed=1, transform=BatchTransform())
    block = 4096
    for begin in range(0, 2 * capacity, block):
        memory.add_columns(rows_of(min(block, 2 * capacity - begin)))

    files = {name: data for name, data in memory.save() if data is not None}

    def step() -> None:
        for _ in range(STEPS):
            memory.add_columns(rows_of(BATCH))
            memory.sample(BATCH)

    found = {"add and draw 64, ms": 1e3 * cpu(step) / STEPS}

    def save() -> None:
        files.update({name: data for name, data in memory.save() if data is not None})

    found["save what the steps changed, s"] = cpu(save)
    other = Memory(make(capacity), None)
    other.bind(seed=1, transform=BatchTransform())
    found["load, s"] = cpu(lambda: other.load(files.__getitem__))
    assert len(other) == len(memory) == capacity
    return found


def reservoir(capacity: int) -> Policy:
    return Reservoir(capacity)


def class_balanced(capacity: int) -> Policy:
    return ClassBalanced(capacity, greedy=False)


def main(largest: int | None = None) -> None:
    """Measure sizes of so much at most."""
    sharded = up_to(SHARDED, largest)
    found = [in_child(shard, capacity) for capacity in sharded]
    names = (
        "one of 64 shards: a step's index arithmetic, 64 rows each, ms",
        "one of 64 shards: draw 64 rows, ms",
        "one of 64 shards: memory, MB",
    )
    table = head("cost")
    table += [
        row(name, sharded, [cost[place] for cost in found]) for place, name in enumerate(names)
    ]
    for name, make, sizes in (
        ("reservoir", reservoir, ALONE),
        ("class_balanced", class_balanced, BY_CLASS),
    ):
        capacities = up_to(sizes, largest)
        costs = [in_child(alone, make, capacity) for capacity in capacities]
        table += [row(f"{name}: {what}", capacities, [c[what] for c in costs]) for what in costs[0]]

    write(
        "scale_memory",
        "A memory against its size",
        f"examples of 9 bytes; {STEPS} steps once twice as many were offered as there is room for; "
        "CPU time.",
        table,
        script="scale",
    )


if __name__ == "__main__":
    main()
