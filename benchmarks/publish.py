"""First publish of a state with a 1 GB memory, and the next with 1 % changed: `python
benchmarks/publish.py`.

Once on a local disk and once in an S3 on this machine, which two cores share with what they
measure.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from loopback import loopback
from machine import write

from renate.memory.infinite import Infinite
from renate.memory.store.memory import Memory
from renate.state.manifest import Manifest
from renate.state.publish import publish, stage
from renate.state.store import Folder
from renate.state.versions import State

ROWS = 300_000  # of 3,480 bytes: a 32×32 RGB image, its label, 100 logits


def rows(count: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "inputs": torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8),
        "targets": torch.randint(100, (count,), generator=generator),
        "logits": torch.randn(count, 100, generator=generator),
    }


def one(
    state: State, memory: Memory, parent: Manifest | None, job: str
) -> tuple[Manifest, int, float, float]:
    """Publish; returns the version, the bytes written, and wall and CPU seconds."""
    sent = tally(state)
    wall = time.perf_counter()
    cpu = time.process_time()
    stage(state, memory.save(), job=job, parent=(state, parent) if parent else None, lineage={})
    manifest = publish(state, job)
    return manifest, sum(sent), time.perf_counter() - wall, time.process_time() - cpu


def tally(state: State) -> list[int]:
    """The bytes of each object that this state's store writes from now on."""
    sent: list[int] = []

    def counting(name: str) -> None:
        method = getattr(type(state.store), name)

        def call(key: str, data: Any) -> None:
            sent.append(memoryview(data).nbytes)
            method(state.store, key, data)

        setattr(state.store, name, call)

    # A folder's all put
    for name in ("put",) if isinstance(state.store, Folder) else ("put", "create", "replace"):
        counting(name)

    return sent


def measure(url: str, target: int) -> list[str]:
    """Publish once and five times more; returns the rows of a table. `target` is a share of the
    time, in per cent.
    """
    memory = Memory(Infinite(), 1 << 34)
    memory.bind(seed=0)
    for seed in range(10):
        memory.add_columns(rows(ROWS // 10, seed))

    state = State(url)
    first = one(state, memory, None, "first")
    parent = first[0]
    updates = []

    for update in range(5):
        slots = torch.randperm(ROWS, generator=torch.Generator().manual_seed(update))[: ROWS // 100]
        memory.store.put(slots, torch.arange(len(slots)), rows(len(slots), 100 + update))
        memory.segments.touch(slots.numpy(), ROWS)
        updates.append(one(state, memory, parent, f"update-{update}"))
        parent = updates[-1][0]

    state.verify(parent.version)
    place = "S3 on this machine" if "://" in url else "local disk"
    table = []
    kinds = (
        ("bytes written", 1, 1e6, 5),
        ("wall seconds", 2, 1, target),
        ("CPU seconds", 3, 1, target),
    )

    for name, k, unit, limit in kinds:
        values = sorted(u[k] for u in updates)
        suffix = " MB" if k == 1 else ""
        table.append(
            f"| {place}: {name} | {first[k] / unit:.2f}{suffix} | {values[2] / unit:.2f}{suffix} "
            f"| {values[2] / first[k]:.1%} | {values[-1] / first[k]:.1%} | {limit} % |"
        )

    return table


def main() -> None:
    torch.set_num_threads(1)
    table = [
        "| | first publish | 1 % changed, median of 5 | share, median | share, worst | target |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        table += measure(str(Path(folder, "state")), target=5)

    with loopback() as services:
        # The proxy would cost more than what is measured
        os.environ["AWS_ENDPOINT_URL"] = services.direct
        table += measure(f"{services.bucket}/state", target=15)

    write("publish", "Publishing what changed", "a memory of 300,000 rows of 3,480 bytes.", table)


if __name__ == "__main__":
    main()
