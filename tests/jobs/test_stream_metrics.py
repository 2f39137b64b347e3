"""What a stream ends with besides the matrix: flips, sizes, costs, and untrained models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import renate
from renate.errors import JobError
from renate.jobs.scoring.cost import begin_peak, peak_memory
from renate.state.versions import State

SIZES = [30, 70, 110]  # test examples of each chunk
STREAM = {
    "data": "files",
    "data.train": "train.parquet",
    "data.test": "test.parquet",
    "data.target": "label",
    "scenario": "class_incremental",
    "scenario.chunks": 3,
    "scenario.shuffle": False,
    "objective.metric": None,
    "updater": "er",
    "trainer.max_epochs": 2,
    "optimizer.lr": 0.1,
}


def write(path: Path, counts: list[int], seed: int) -> None:
    """Noisy points around six places, so that no version is right everywhere."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(6), counts)
    angles = 2 * np.pi * labels / 6
    x = np.cos(angles) + random.normal(0, 0.5, len(labels))
    y = np.sin(angles) + random.normal(0, 0.5, len(labels))
    pd.DataFrame({"x": x, "y": y, "label": labels}).to_parquet(path)


@pytest.fixture
def ended(workdir: Path) -> Any:
    write(workdir / "train.parquet", [60] * 6, seed=0)
    write(workdir / "test.parquet", [10, 20, 30, 40, 50, 60], seed=1)
    return [*renate.stream(STREAM)][-1]


def test_a_streams_own_metric_needs_validation_data_of_every_chunk(workdir: Path) -> None:
    write(workdir / "train.parquet", [60] * 6, seed=0)
    write(workdir / "test.parquet", [10] * 6, seed=1)
    asked = STREAM | {"data.val_size": 1, "objective.metric": "average_accuracy"}
    said = "objective.metric=average_accuracy: chunk . of 3 has no validation data.*=val_accuracy"
    with pytest.raises(JobError, match=said):
        list(renate.stream(asked))
    assert not list(workdir.glob("runs/*/state/versions/*")), "told before anything was trained"


def test_what_a_stream_ends_with(ended: Any) -> None:
    final = json.loads((ended.job_dir / "result.json").read_text())
    written = json.loads((ended.job_dir / "matrix.json").read_text())
    rows, updates = written["accuracy"], written["updates"]

    micro = sum(n * value for n, value in zip(SIZES, rows[2], strict=True)) / sum(SIZES)
    assert final["metrics"]["micro_average_accuracy"] == pytest.approx(micro, abs=1e-6)
    assert final["metrics"]["micro_average_accuracy"] != final["metrics"]["average_accuracy"]

    assert "negative_flip_rate" not in updates[0], "there is no version before the first"
    for number in (1, 2):
        # On the chunks seen by now, flips are what the share that is right changed by
        n = SIZES[: number + 1]
        before, after = (
            sum(size * value for size, value in zip(n, row, strict=False)) / sum(n)
            for row in (rows[number - 1], rows[number])
        )
        each = updates[number]
        change = each["positive_flip_rate"] - each["negative_flip_rate"]
        assert change == pytest.approx(after - before, abs=1e-6)
        assert each["negative_flip_impact"] == pytest.approx(
            each["negative_flip_rate"] / (1 - after), abs=1e-6
        )
        assert each["positive_flip_impact"] == pytest.approx(
            each["positive_flip_rate"] / after, abs=1e-6
        )
    rates = [each["negative_flip_rate"] for each in updates[1:]]
    assert max(rates) > 0
    assert final["metrics"]["negative_flip_rate"] == pytest.approx(sum(rates) / 2)

    assert final["counts"]["peak_memory_bytes"] > 1e7
    manifest = State(ended.state_url).manifest(3)
    assert final["counts"]["state_bytes"] == sum(b.size for b in manifest.files.values())


@pytest.mark.slow
def test_several_untrained_models_change_nothing_but_the_baseline(ended: Any) -> None:
    again = [*renate.stream(STREAM | {"job.untrained_models": 1})][-1]
    assert again.matrix == ended.matrix, "their weights come from generators of their own"

    befores = []
    for result in (again, ended):
        state = State(result.state_url)
        read = json.loads(bytes(state.read(state.manifest(1), "metrics.json")))
        befores.append([read["before"][f"chunk {i + 1}"]["accuracy"] for i in range(3)])
    one, mean_of_three = befores
    assert one != mean_of_three
    for size, alone, mean in zip(SIZES, one, mean_of_three, strict=True):
        right = 3 * size * mean
        assert right == pytest.approx(round(right), abs=1e-3)
        assert round(right) >= round(size * alone), "the first of them is among them"

    final = json.loads((ended.job_dir / "result.json").read_text())["metrics"]
    rows = json.loads((ended.job_dir / "matrix.json").read_text())["accuracy"]
    gains = [rows[i - 1][i] - mean_of_three[i] for i in (1, 2)]
    assert final["forward_transfer"] == pytest.approx(sum(gains) / 2)


@pytest.mark.slow
def test_an_update_says_what_flipped(ended: Any) -> None:
    """One update after another: the parent is measured on the same test data."""
    common = {k: v for k, v in STREAM.items() if not k.startswith("scenario")}
    renate.run(common | {"state.url": "./two", "state.first": True})
    second = renate.run(common | {"state.url": "./two", "seed": 5, "resume": False})
    counts = json.loads((second.job_dir / "result.json").read_text())
    change = counts["metrics"]["test_accuracy"] - counts["before"]["test_accuracy"]
    flips = counts["counts"]
    assert flips["positive_flip_rate"] - flips["negative_flip_rate"] == pytest.approx(
        change, abs=1e-6
    )


def test_the_peak_begins_anew() -> None:
    device = torch.device("cpu")
    begin_peak(device)
    before = peak_memory(device)
    if not before:
        pytest.skip("this system doesn't say")
    block = torch.ones(40_000_000)
    during = peak_memory(device)["peak_memory_bytes"]
    assert during - before["peak_memory_bytes"] > 100e6
    del block
    begin_peak(device)
    assert during - peak_memory(device)["peak_memory_bytes"] > 100e6
