"""Small tables of examples that came on days."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BEGIN = np.datetime64("2024-01-01")  # a Monday
QUICK = (
    "data=files",
    "data.target=label",
    "data.inputs=[x,y]",
    "data.time=day",
    "transform=none",
    "model.hidden_sizes=[8]",
    "optimizer.lr=0.1",
    "trainer.max_epochs=2",
)


def week(number: int, rows: int = 60, *, turned: float = 0.0, classes: int = 3) -> pa.Table:
    """Two numbers that tell a class, on the days of a week (from 0), in no order."""
    rng = np.random.default_rng(number)
    label = rng.integers(0, classes, rows)
    angle = 2 * np.pi * label / classes + turned
    noise = rng.normal(0, 0.3, (rows, 2))
    # Each day is there, so that a week ends when it ends
    days = rng.permutation(np.arange(rows) % 7)
    return pa.table(
        {
            "x": (np.cos(angle) + noise[:, 0]).astype(np.float32),
            "y": (np.sin(angle) + noise[:, 1]).astype(np.float32),
            "kind": np.array(["a", "b", "c"])[rng.integers(0, 2 + (number > 1), rows)],
            "day": BEGIN + 7 * number + days,
            "label": label,
        }
    )


def written(path: Path, weeks: Sequence[pa.Table]) -> Path:
    """One file of all of them, its rows mixed."""
    whole = pa.concat_tables(weeks)
    order = np.random.default_rng(0).permutation(whole.num_rows)
    pq.write_table(whole.take(order), path)
    return path
