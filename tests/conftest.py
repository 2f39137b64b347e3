"""Shared fixtures: the data folder, an empty working directory, small files of data."""

import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[1]

# A shell that runs the tests in the background has them ignore Ctrl-C, and each command that they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data sets; skips where there are none."""
    folder = Path(os.environ.get("RENATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"RENATE_DATA: no data sets at {folder}")
    return folder


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_table(path: Path, *, seed: int, rows: int = 120, classes: int = 3, shift: float = 0.0) -> Path:
    """A parquet file of two numeric columns whose class is easy to tell, and `label`."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, rows)
    noise = rng.normal(0, 0.1, (rows, 2))
    angle = 2 * np.pi * label / classes + shift
    table = pa.table({"x": np.cos(angle) + noise[:, 0], "y": np.sin(angle) + noise[:, 1], "label": label})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path
