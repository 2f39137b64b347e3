"""A parquet file larger than memory trains, is evaluated and predicted for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.peak_memory import peak_of

COLUMNS = 128
GROUP = 50_000
ON = [
    "data=files",
    "state.url=./s",
    "data.batch_size=8192",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=1",
    "trainer.eval_batch_size=8192",
]


def write(path: Path, rows: int) -> Path:
    """Numbers of 8 bytes each, of which the first says the label."""
    schema = pa.schema([(f"x{place}", pa.float64()) for place in range(COLUMNS)])
    schema = schema.append(pa.field("label", pa.int64()))
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for begin in range(0, rows, GROUP):
            count = min(GROUP, rows - begin)
            columns = [rng.normal(size=count) for _ in range(COLUMNS)]
            label = (columns[0] > 0).astype(np.int64)
            writer.write_table(pa.table([*columns, label], schema=schema))

    return path


def peaks(folder: Path, rows: int, max_ram: int) -> dict[str, int]:
    """The most bytes that each job has held for a file of so many rows."""
    folder.mkdir()
    file = write(folder / "big.parquet", rows)
    on = [*ON, f"data.train={file.name}", "data.cache_dir=cache"]
    bound = ["data.target=label", f"data.max_ram={max_ram}"]
    trained, _ = peak_of([*on, *bound, "state.first=true"], folder)
    evaluated, said = peak_of([*on, *bound, "job=evaluate"], folder)
    assert "test_accuracy" in said
    predicted, _ = peak_of([*on, "job=predict", "output=p.parquet"], folder)
    assert pq.ParquetFile(folder / "p.parquet").metadata.num_rows == rows
    return {"train": trained, "evaluate": evaluated, "predict": predicted}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Ten times the rows take what each row has of its own, label, hash and place: far less than
    half of its numbers as float32.
    """
    small = peaks(tmp_path / "small", 50_000, 10_000_000)
    large = peaks(tmp_path / "large", 500_000, 10_000_000)
    more = 450_000 * COLUMNS * 4
    for job, peak in large.items():
        assert peak < small[job] + more / 2, (job, small, large)


@pytest.mark.by_hand
def test_two_gigabytes_within_one(tmp_path: Path) -> None:
    found = peaks(tmp_path / "two", 2_000_000, 100_000_000)
    assert (tmp_path / "two" / "big.parquet").stat().st_size > 2e9
    assert all(peak < 1_000_000_000 for peak in found.values()), found
