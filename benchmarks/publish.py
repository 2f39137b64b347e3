"""First publish of a state with a 1 GB memory, and the next with 1 % changed: `python benchmarks/publish.py`."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from machine import write

from renate.memory.infinite import Infinite
from renate.state.manifest import Manifest
from renate.state.publish import publish, stage
from renate.state.versions import State

ROWS = 300_000  # of 3,480 bytes: a 32×32 RGB image, its label, 100 logits


def rows(count: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "inputs": torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8),
        "targets": torch.randint(100, (count,), generator=generator),
        "logits": torch.randn(count, 100, generator=generator),
    }


def one(state: State, memory: Infinite, parent: Manifest | None, job: str) -> tuple[Manifest, int, float, float]:
    """Publish; returns the version, the bytes written, and wall and CPU seconds."""
    written = 0

    def counted() -> Iterator[tuple[str, bytes | None]]:
        nonlocal written
        for name, data in memory.save():
            written += len(data or b"")
            yield name, data

    wall, cpu = time.perf_counter(), time.process_time()
    stage(state, counted(), job=job, parent=(state, parent) if parent else None, lineage={})
    manifest = publish(state, job)
    return manifest, written, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    torch.set_num_threads(1)
    memory = Infinite(max_ram=1 << 34)
    memory.bind(seed=0)
    for seed in range(10):
        memory.add_columns(rows(ROWS // 10, seed))
    with tempfile.TemporaryDirectory() as folder:
        state = State(str(Path(folder, "state")))
        first = one(state, memory, None, "first")
        parent, updates = first[0], []
        for update in range(5):
            slots = torch.randperm(ROWS, generator=torch.Generator().manual_seed(update))[: ROWS // 100]
            memory.store.put(slots, torch.arange(len(slots)), rows(len(slots), 100 + update))
            memory.segments.touch(slots.numpy(), ROWS)
            updates.append(one(state, memory, parent, f"update-{update}"))
            parent = updates[-1][0]
        state.verify(parent.version)
    share = [[u[k] / first[k] for u in updates] for k in (1, 2, 3)]
    table = [
        "| | first publish | 1 % changed, median of 5 | share, median | share, worst | target |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, k, unit in (("bytes written", 1, 1e6), ("wall seconds", 2, 1), ("CPU seconds", 3, 1)):
        values = sorted(u[k] for u in updates)
        shares = sorted(share[k - 1])
        suffix = " MB" if k == 1 else ""
        table.append(
            f"| {name} | {first[k] / unit:.2f}{suffix} | {values[2] / unit:.2f}{suffix} | {shares[2]:.1%} "
            f"| {shares[-1]:.1%} | 5 % |"
        )
    write("publish", "Publishing what changed", "a memory of 300,000 rows of 3,480 bytes on a local disk.", table)


if __name__ == "__main__":
    main()
