"""Cost against size, with the fitted exponent: `python benchmarks/scale.py PART …`.

sizes    Data, memory, models and states of ordinary sizes; CPU seconds at one thread, best of 3.
sweep    A sweep on a simulated clock, to 1,000 workers and 100,000 trials.
state    A state of 10,000 versions and a million blobs.
stream   A thousand updates, and streams of up to 300 chunks.
memory   A memory of 10⁸ examples in 64 shards.
data     10⁹ rows in 10,000 files.

An exponent of 1 is linear; where the fixed cost dominates it is smaller. docs/scale.md says what
the tables mean.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scale_data
import scale_memory
import scale_state
import scale_stream
import scale_sweep
import torch
from machine import write

from renate.data.batch import Columns
from renate.data.files import Files
from renate.data.fingerprint import fingerprint
from renate.data.scenarios import ClassIncremental
from renate.memory.reservoir import Reservoir
from renate.memory.store.memory import Memory
from renate.models.grow import grow
from renate.models.mlp import MLP
from renate.state.manifest import Manifest
from renate.state.publish import publish, stage
from renate.state.versions import State


def cost(call: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times)


def table_of(folder: Path, rows: int, files: int = 1) -> str:
    target = folder / f"{rows}-{files}"
    target.mkdir(parents=True)
    rng = np.random.default_rng(0)

    for part in range(files):
        count = rows // files
        columns = {f"x{i}": rng.random(count, dtype=np.float32) for i in range(20)}
        pq.write_table(
            pa.table(columns | {"label": rng.integers(0, 10, count)}), target / f"{part}.parquet"
        )

    return f"{target}/*.parquet"


def load(pattern: str) -> None:
    plain = {
        "test": None,
        "test_size": 0.1,
        "inputs": None,
        "image_size": None,
        "cache_dir": None,
        "limit": None,
    }
    Files(train=pattern, target="label", batch_size=32, val_size=0.1, **plain).load(seed=0)  # type: ignore[arg-type]


def states(folder: Path, versions: int) -> State:
    state = State(str(folder / f"state-{versions}"))
    parent = None
    for number in range(versions):
        parent = publish_one(state, parent, number)
    return state


def publish_one(state: State, parent: Manifest | None, number: int) -> Manifest:
    files = iter([("model", b"m" * 1000), ("memory", b"%d" % number)])
    stage(state, files, job=f"job-{number}", parent=(state, parent) if parent else None, lineage={})
    return publish(state, f"job-{number}")


def cut_all(rows: int, classes: int) -> None:
    columns: Columns = {"inputs": torch.zeros(rows, 4), "targets": torch.arange(rows) % classes}
    scenario = ClassIncremental(chunks=10, groupings=None, shuffle=True)
    for index in range(10):
        scenario.cut(columns, index, part="train", seed=0, num_classes=classes)


def stream_memory(rows: int) -> None:
    memory = Memory(Reservoir(1000), None)
    memory.bind(seed=0)
    block: Columns = {
        "inputs": torch.zeros(128, 100, dtype=torch.uint8),
        "targets": torch.zeros(128, dtype=torch.long),
    }
    for _ in range(rows // 128):
        memory.add_columns(block)


def row(name: str, sizes: Sequence[int], call: Callable[[int], Callable[[], object]]) -> str:
    times = [cost(call(size)) for size in sizes]
    half = len(sizes) // 2
    slope = np.polyfit(np.log(sizes[half:]), np.log(np.maximum(times[half:], 1e-6)), 1)[0]
    cells = " ".join(f"{size:,}: {seconds:.3f}" for size, seconds in zip(sizes, times, strict=True))
    line = f"| {name} | {cells} | {slope:.2f} |"
    print(line, flush=True)
    return line


def ordinary(largest: int | None = None) -> None:
    """Ordinary sizes, whatever the largest may be."""
    table = ["| what | size: CPU s | exponent |", "| --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        rows = [30_000, 100_000, 300_000, 1_000_000]
        files = [1, 10, 100, 1000]
        tables = {n: table_of(folder, n) for n in rows}
        split = {n: table_of(folder / "split", 100_000, n) for n in files}
        counts = [10, 30, 100, 300]
        built = {n: states(folder, n) for n in counts}
        classes = [10, 100, 1000, 10_000]
        table += [
            row(
                "read, check and split a table of n examples",
                rows,
                lambda n: lambda: load(tables[n]),
            ),
            row("read 100,000 examples from n files", files, lambda n: lambda: load(split[n])),
            row(
                "fingerprint n files",
                files,
                lambda n: lambda: fingerprint([split[n]], folder / f"cache-{n}"),
            ),
            row("cut n examples into 10 chunks by class", rows, lambda n: lambda: cut_all(n, 100)),
            row(
                "offer n examples to a reservoir of 1,000", rows, lambda n: lambda: stream_memory(n)
            ),
            row(
                "grow an MLP's head to n classes",
                classes,
                lambda n: lambda: grow(mlp(n - 1), mlp(n)),
            ),
            row("find the newest of n versions", counts, lambda n: lambda: built[n].newest()),
            row("list n versions", counts, lambda n: lambda: built[n].versions()),
            row("publish on top of n versions", counts, lambda n: lambda: top(built[n])),
        ]

    write(
        "scale",
        "Cost against size",
        "CPU seconds at one thread, best of 3, and the fitted exponent.",
        table,
    )


def mlp(classes: int) -> MLP:
    return MLP((100,), classes, [100])


def top(state: State) -> None:
    newest = state.newest()
    assert newest is not None
    publish_one(state, newest, (newest.version or 0) + 10_000)


PARTS: dict[str, Callable[[int | None], None]] = {
    "sizes": ordinary,
    "sweep": scale_sweep.main,
    "state": scale_state.main,
    "stream": scale_stream.main,
    "memory": scale_memory.main,
    "data": scale_data.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--largest", type=int, help="size, where there isn't the time for all")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for part in asked.parts:
        PARTS[part](asked.largest)


if __name__ == "__main__":
    main()
