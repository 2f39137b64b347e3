"""A thousand updates of one state, and streams of more and more chunks."""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from exponents import head, row, up_to
from machine import write

import renate

WINDOW = 10  # updates that a figure is the median of
AT = (10, 20, 40, 100, 300, 1000)
CHUNKS = (10, 30, 100, 300)
MEASURED = "each of n updates is measured on n test sets, before and after"
MATRIX = "each of n updates keeps its scores on n test sets"
SEGMENTS = "each names the segments of the memory, up to 128; then they are merged"
TINY = [
    "data=files",
    "data.target=y",
    "updater=er",
    "memory.capacity=100",
    "model.hidden_sizes=[8]",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "terminal=quiet",
    "report=none",
]


def rows(number: int, count: int) -> pa.Table:
    generator = np.random.default_rng(number)
    inputs = generator.normal(size=(count, 4))
    columns = {f"x{place}": inputs[:, place].astype(np.float32) for place in range(4)}
    return pa.table(columns | {"y": (inputs.sum(1) > 0).astype(np.int64)})


def tree_cpu(pid: int | None = None) -> float:
    """CPU seconds of a process and its children that are alive."""
    pid = pid or os.getpid()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            children += map(int, (task / "children").read_text().split())

    return own + sum(tree_cpu(child) for child in children)


def held(state: Path) -> tuple[int, int]:
    """Bytes of a state, and how many files it has."""
    sizes = [file.stat().st_size for file in state.rglob("*") if file.is_file()]
    return sum(sizes), len(sizes)


def parts(folder: Path) -> tuple[float, float, float]:
    """Bytes of what a folder holds: scores of test sets, manifests, and everything else."""
    scores = 0
    manifests = 0
    named: set[str] = set()
    for file in folder.rglob("versions/*.json"):
        text = file.read_text()
        manifests += len(text)
        blob = json.loads(text)["files"]["metrics.json"]
        if blob["key"] not in named:
            named.add(blob["key"])
            scores += blob["size"]

    for name in ("matrix.json", "matrix.csv", "result.json"):
        scores += sum(file.stat().st_size for file in folder.rglob(name))

    return float(scores), float(manifests), float(held(folder)[0] - scores - manifests)


def many_updates(folder: Path, counts: Sequence[int]) -> list[str]:
    """Update one state again and again, with a new file each time."""
    seconds: list[float] = []
    sizes: dict[int, tuple[int, int]] = {}
    held_by: dict[int, tuple[float, float, float]] = {}
    os.chdir(folder)
    pq.write_table(rows(0, 100), "test.parquet")
    common = [*TINY, "data.test=test.parquet", "state.url=./state", f"run_dir={folder}/runs"]

    for number in range(1, counts[-1] + 1):
        file = f"week-{number:04d}.parquet"
        pq.write_table(rows(number, 64), file)
        before = tree_cpu()
        first = ["state.first=true"] if number == 1 else []
        renate.run([*common, *first, f"data.train={file}"])
        seconds.append(tree_cpu() - before)
        if number in counts or number == 1:
            sizes[number] = held(folder / "state")
            held_by[number] = parts(folder / "state")
            print(f"  update {number}: {seconds[-1]:.3f} s, state {sizes[number]}", flush=True)

    windows = {at: median(seconds[max(0, at - WINDOW) : at]) for at in counts}
    each = [(sizes[at][0] - sizes[1][0]) / (at - 1) for at in counts]
    return [
        *head("figure"),
        row(f"CPU s of an update (median of {WINDOW})", counts, [windows[at] for at in counts]),
        row("CPU s of all updates so far", counts, [sum(seconds[:at]) for at in counts]),
        row("bytes of the state", counts, [float(sizes[at][0]) for at in counts]),
        row("of these manifests", counts, [held_by[at][1] for at in counts], SEGMENTS),
        row(
            "of these all but manifests", counts, [held_by[at][0] + held_by[at][2] for at in counts]
        ),
        row("bytes that an update adds, on average so far", counts, each),
        row("files of the state", counts, [float(sizes[at][1]) for at in counts]),
    ]


def streams(folder: Path, counts: Sequence[int]) -> list[str]:
    """Streams of more and more chunks of equal size."""
    os.chdir(folder)
    costs = []
    sizes = []
    held_by = []
    for chunks in counts:
        pq.write_table(rows(1, 64 * chunks), "train.parquet")
        pq.write_table(rows(2, 16 * chunks), "test.parquet")
        before = tree_cpu()
        began = time.perf_counter()
        renate.run(
            [
                *TINY,
                "job=stream",
                "objective.metric=null",
                "data.train=train.parquet",
                "data.test=test.parquet",
                "scenario=iid",
                f"scenario.chunks={chunks}",
                f"run_dir={folder}/stream-{chunks}",
            ]
        )
        costs.append(tree_cpu() - before)
        sizes.append(float(held(folder / f"stream-{chunks}")[0]))
        held_by.append(parts(folder / f"stream-{chunks}"))
        print(
            f"  {chunks} chunks: {costs[-1]:.1f} s of CPU, {time.perf_counter() - began:.1f} s",
            flush=True,
        )

    return [
        row("CPU s of a stream of n chunks", counts, costs, MEASURED),
        row("bytes of its state", counts, sizes, "its scores and its manifests"),
        row("of these scores of test sets", counts, [each[0] for each in held_by], MATRIX),
        row("of these manifests", counts, [each[1] for each in held_by], SEGMENTS),
        row("of these everything else", counts, [each[2] for each in held_by]),
    ]


def main(largest: int | None = None) -> None:
    """Measure so many updates at most."""
    with tempfile.TemporaryDirectory(prefix="renate-scale-") as folder:
        table = [*streams(Path(folder), up_to(CHUNKS, largest))]
        (Path(folder) / "updates").mkdir()
        table = [*many_updates(Path(folder) / "updates", up_to(AT, largest)), *table]

    write(
        "scale_stream",
        "Updates against their number",
        "64 new rows of four numbers an update, an MLP of 8 units, a memory of 100, a test set of "
        "100 rows; CPU seconds of the command and its worker.",
        table,
        script="scale",
    )


if __name__ == "__main__":
    main()
