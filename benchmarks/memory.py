"""Cost of a memory against its size, in RAM and in mapped files: `python benchmarks/memory.py
[--largest 10000000]`.

CPU µs at one thread, median of 300 calls: a draw of 128 rows of 784 bytes with its label,
transformed to float; and an offer of 128 to a reservoir that has just been filled. Wall seconds to
save all of it as files and to load it, and the private memory that it takes. Then a memory ten
times as large as the private memory that the process may have (RLIMIT_DATA), in mapped files.
"""

import argparse
import ctypes
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import write

from renate.data.batch import Batch, BatchTransform
from renate.data.transforms import Scale
from renate.memory.reservoir import Reservoir
from renate.memory.store.memory import Memory

RAM = 1 << 40
LIMIT = 200_000_000  # bytes of private memory beyond what the process has when it starts to fill


def filled(capacity: int, max_ram: int, folder: str) -> Memory:
    memory = Memory(Reservoir(capacity), max_ram)
    memory.bind(seed=0, transform=BatchTransform([Scale()]), scratch=folder)
    part = min(capacity, 10_000)
    block = torch.randint(
        256, (part, 784), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    for first in range(0, capacity, part):
        count = min(part, capacity - first)
        memory.add_columns({"inputs": block[:count], "targets": torch.arange(count)})

    return memory


def cost(call: Callable[[], object], calls: int = 300) -> float:
    for _ in range(20):
        call()

    times = []
    for _ in range(calls):
        began = time.process_time_ns()
        call()
        times.append(time.process_time_ns() - began)

    return float(np.median(times)) / 1000


def private() -> float:
    """Bytes of private memory that this process has in RAM; mapped files' pages are the page
    cache's.
    """
    status = Path("/proc/self/status").read_text()
    return 1024.0 * int(status.split("RssAnon:")[1].split()[0])


def saved_and_loaded(memory: Memory, folder: str) -> tuple[float, float]:
    """Wall seconds to write all files of a memory, and to make a memory of them."""
    began = time.perf_counter()
    files = Path(folder, "saved")

    for name, data in memory.save():
        assert data is not None
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_bytes(data)

    written = time.perf_counter()
    assert memory.capacity is not None
    again = Memory(Reservoir(memory.capacity), RAM)
    again.bind(seed=0, transform=BatchTransform([Scale()]), scratch=folder)
    again.load(lambda name: (files / name).read_bytes())
    assert len(again) == len(memory)

    return written - began, time.perf_counter() - written


def beyond_the_limit() -> None:
    """In a process of its own: fill and use a memory ten times as large as RLIMIT_DATA allows
    beyond the start.
    """
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + LIMIT, data + LIMIT))

    with tempfile.TemporaryDirectory() as folder:
        memory = filled(10 * LIMIT // 792, 0, folder)
        batch = memory.sample(128)
        memory.add(
            BatchTransform()({"inputs": batch.raw["inputs"], "targets": batch.raw["targets"]})
        )
        assert len(memory) * 792 > 9.9 * LIMIT
        print(
            f"{len(memory) * 792 / 1e9:.2f} GB held with {LIMIT / 1e9:.2f} GB of private memory "
            "allowed"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--largest", type=int, default=10_000_000)
    parser.add_argument("--beyond", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.beyond:
        beyond_the_limit()
        return

    sizes = [n for n in (1_000, 10_000, 100_000, 1_000_000, 10_000_000) if n <= asked.largest]
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(256, (128, 784), generator=generator, dtype=torch.uint8)
    batch: Batch = BatchTransform()({"inputs": inputs, "targets": torch.arange(128)})
    table = [
        "| rows | draw, RAM | draw, mapped | offer, RAM | offer, mapped | save s | load s | RSS, "
        "RAM | RSS, mapped |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    draws: dict[int, float] = {}

    for size in sizes:
        cells: dict[str, list[str]] = {"draw": [], "offer": [], "disk": [], "rss": []}
        for max_ram in (RAM, 0):
            with tempfile.TemporaryDirectory() as folder:
                ctypes.CDLL(None).malloc_trim(0)  # what earlier rounds freed would be reused unseen
                before = private()
                memory = filled(size, max_ram, folder)
                cells["rss"].append(f"{max(0.0, private() - before) / 1e6:,.0f} MB")
                draw = cost(lambda memory=memory: memory.sample(128))
                draws.setdefault(size, draw)
                cells["draw"].append(f"{draw:.0f}")
                cells["offer"].append(f"{cost(lambda memory=memory: memory.add(batch)):.0f}")
                if max_ram:
                    cells["disk"] = [
                        f"{seconds:.2f}" for seconds in saved_and_loaded(memory, folder)
                    ]

                del memory

        table.append(f"| {size:,} | {' | '.join(cell for row in cells.values() for cell in row)} |")
        print(table[-1], flush=True)

    beyond = subprocess.run([sys.executable, __file__, "--beyond"], capture_output=True, text=True)
    said = beyond.stdout.strip() or beyond.stderr.strip().splitlines()[-1]
    ratio = draws[1_000_000] / draws[10_000]
    table += ["", f"A draw from 1,000,000 rows costs {ratio:.2f} × one from 10,000 (target 1.5)."]
    table += ["", f"Beyond the limit: {said}."]
    text = (
        "CPU µs for 128 rows of 784 bytes; each offer goes to a reservoir just filled. RSS is the "
        "private part."
    )
    write("memory", "A memory's cost", text, table)


if __name__ == "__main__":
    main()
