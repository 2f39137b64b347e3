"""A data set of up to 10⁹ rows in 10,000 parquet files: finding them, and telling which are new.

All rows of a file are alike, so that a file of 100,000 rows takes a kilobyte: what is measured
grows with files, not with bytes. What grows with bytes is in scale.md, `read, check and split`.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from exponents import cpu, head, row, up_to
from machine import write

from renate.data.fingerprint import contents, expand, fingerprint
from renate.data.kept.trained import Trained
from renate.data.named.found import found_files
from renate.data.table import File

FILES = (100, 1_000, 10_000)
ROWS = 100_000  # of a file


def written(folder: Path, count: int) -> str:
    """So many files, each of another content."""
    folder.mkdir()
    table = pa.table({"x": np.zeros(ROWS, np.float32), "y": np.zeros(ROWS, np.int8)})
    for part in range(count):
        named = table.replace_schema_metadata({"part": str(part)})
        pq.write_table(named, folder / f"{part:06d}.parquet")

    return f"{folder}/*.parquet"


def measured(folder: Path, count: int) -> dict[str, float]:
    """What is asked of so many files -> CPU seconds."""
    pattern = written(folder / f"files-{count}", count)
    files = expand(pattern, "data.train")
    assert len(files) == count
    cache = folder / f"cache-{count}"
    found: dict[str, float] = {}

    def take(name: str, call: Callable[[], object], times: int = 3) -> None:
        began = time.perf_counter()
        found[name] = cpu(call, times)
        print(f"  {count:,}: {name}: {time.perf_counter() - began:.1f} s", flush=True)

    take("list", lambda: expand(pattern, "data.train"))
    take("fingerprint, contents unknown", lambda: fingerprint([pattern], cache), 1)
    take("fingerprint, contents known", lambda: fingerprint([pattern], cache))

    known = contents(files, cache)
    keys = [key for content in known[:-1] for key in File("", 0, content).keys]
    trained = Trained().extended(keys, 1)

    def find() -> None:
        new = found_files(pattern, None, cache, trained, copies=False)
        assert len(new.train) == count

    def tell() -> None:
        with_test = found_files(pattern, [files[-1]], cache, trained, copies=False)
        assert with_test.train == [files[-1]]

    take("find which are read, where each may be held out", find)
    take("tell the one new file from those trained on", tell)
    take(
        "add a version's file to the log of what was trained on",
        lambda: list(trained.extended([f"{0:064x}"], 2).files()),
    )
    take(
        "read the rows that every file says it has",
        lambda: sum(pq.read_metadata(file).num_rows for file in files),
        1,
    )
    assert sum(pq.read_metadata(file).num_rows for file in files[:3]) == 3 * ROWS

    return found


def main(largest: int | None = None) -> None:
    """Measure sizes of so much at most."""
    with tempfile.TemporaryDirectory(prefix="renate-scale-") as folder:
        counts = up_to(FILES, largest)
        costs = [measured(Path(folder), count) for count in counts]

    table = head("CPU s")
    table += [row(name, counts, [cost[name] for cost in costs]) for name in costs[0]]
    write(
        "scale_data",
        "A data set against its files",
        f"parquet files of {ROWS:,} equal rows, so the last size has 10⁹; sizes are files.",
        table,
        script="scale",
    )


if __name__ == "__main__":
    main()
