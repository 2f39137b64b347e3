"""Streams: the matrix, going on after an interruption, golden numbers."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import renate
from renate.errors import JobError
from renate.jobs.directory import JobDirectory
from renate.jobs.records import TOLD
from renate.jobs.running.execute import execute
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table

STREAM = {
    "scenario": "class_incremental",
    "scenario.chunks": 5,
    "objective.metric": None,
    "trainer.max_epochs": 2,
    "optimizer.lr": 0.1,
}


def test_stream(workdir: Path) -> None:
    results = list(renate.stream(STREAM))
    assert [len(result.matrix) for result in results] == [1, 2, 3, 4, 5]
    last = results[-1]
    assert State(last.state_url).versions() == [1, 2, 3, 4, 5]
    written = json.loads((last.job_dir / "matrix.json").read_text())
    assert written["accuracy"] == last.matrix
    with (last.job_dir / "matrix.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["after update", "chunk 1", "chunk 2", "chunk 3", "chunk 4", "chunk 5"]
    assert [float(cell) for cell in rows[5][1:]] == last.matrix[4]
    final = json.loads((last.job_dir / "result.json").read_text())
    assert final["metrics"]["average_accuracy"] == pytest.approx(sum(last.matrix[4]) / 5)
    assert final["value"] == final["metrics"]["average_accuracy"]
    assert final["metrics"]["task_accuracy"] >= final["metrics"]["average_accuracy"]
    diagonal = [row[t] for t, row in enumerate(last.matrix)]
    assert final["metrics"]["learning_accuracy"] == pytest.approx(sum(diagonal) / 5)


def test_golden_numbers(workdir: Path) -> None:
    """Compared by tolerance: other processors and versions round differently."""
    matrix = [result.matrix for result in renate.stream(STREAM | {"updater": "derpp", "seed": 3})][
        -1
    ]
    golden = json.loads((Path(__file__).parent / "golden_stream.json").read_text())
    for row, expected in zip(matrix, golden, strict=True):
        assert row == pytest.approx(expected, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        pytest.param({}, marks=pytest.mark.slow, id="runs"),
        pytest.param({"state.url": "./state", "state.first": True}, id="url"),
    ],
)
def test_a_stopped_stream_goes_on_where_it_was(place: dict[str, object], workdir: Path) -> None:
    longer = STREAM | {"trainer.max_epochs": 15}
    whole = list(renate.stream(longer | {"run_dir": "./whole"}))[-1]
    for result in renate.stream(longer | place):
        if result.version == 2:
            break  # ends the worker in the middle of update 3
    state = State(result.state_url)
    done = state.versions()
    assert done[:2] == [1, 2]
    assert len(done) < 5, "the case needs a stream that was stopped"
    writers = [state.manifest(v).writer for v in done]
    resumed = list(renate.stream(longer | place))[-1]
    assert resumed.matrix == whole.matrix, "bit for bit as if nothing had happened"
    assert [state.manifest(v).writer for v in done] == writers, (
        "what was published is not done again"
    )


def test_a_stream_needs_a_url_of_its_own(workdir: Path) -> None:
    renate.run({"state.url": "./state", "state.first": True, "trainer.max_epochs": 1})
    with pytest.raises(JobError, match="holds version 1, which is not of this stream"):
        list(renate.stream(STREAM | {"state.url": "./state"}))


def test_what_published_updates_told_is_told_again(workdir: Path) -> None:
    """Whoever follows from another machine may have missed some of it."""
    *_, last = renate.stream(STREAM | {"scenario.chunks": 2, "trainer.max_epochs": 1})
    (last.job_dir / "result.json").unlink()
    heard: list[dict[str, Any]] = []
    execute(last.job_dir, heard.append)
    (told,) = [event["reports"] for event in heard if event["event"] == TOLD]
    assert [row["update"] for row in told] == ["update 1/2", "update 2/2"]
    assert told == [row.to_json() for row in JobDirectory(last.job_dir).reports()]


@pytest.mark.parametrize("objective", ["val_accuracy", "average_accuracy", "forgetting"])
def test_a_streams_objective_is_over_all_chunks_on_validation_data(
    objective: str, workdir: Path
) -> None:
    """The last update's own validation data would call the updater best that forgets all others."""
    asked = STREAM | {"objective.metric": objective, "scenario.chunks": 3, "optimizer.lr": 0.1}
    *_, last = renate.stream(asked)
    state = State(last.state_url)
    rows = [
        json.loads(bytes(state.read(state.manifest(v), "metrics.json")))["after"] for v in (1, 2, 3)
    ]
    matrix = [[row[f"validation of chunk {i}"]["accuracy"] for i in (1, 2, 3)] for row in rows]
    expected = {
        "val_accuracy": sum(matrix[2]) / 3,
        "average_accuracy": sum(matrix[2]) / 3,
        "forgetting": sum(max(matrix[0][i], matrix[1][i]) - matrix[2][i] for i in (0, 1)) / 2,
    }
    value = json.loads((last.job_dir / "result.json").read_text())["value"]
    assert value == pytest.approx(expected[objective])
    assert [len(row) for row in last.matrix] == [3, 3, 3], "the matrix is that of the test data"

    (last.job_dir / "result.json").unlink()
    *_, again = renate.stream(asked)
    assert json.loads((again.job_dir / "result.json").read_text())["value"] == value, (
        "known without training again"
    )


def test_several_tests_share_a_chunks_column(workdir: Path) -> None:
    """The columns of a chunk are averaged; the metrics see one column per chunk."""
    for name, seed in (("train", 0), ("a", 1), ("b", 2)):
        write_table(workdir / f"{name}.parquet", seed=seed, classes=4)
    named = {"data": "files", "data.train": "train.parquet", "data.target": "label"}
    two = {
        "data.test": {"a": "a.parquet", "b": "b.parquet"},
        "scenario.chunks": 2,
        "optimizer.lr": 0.5,
    }
    (*_, last) = renate.stream(STREAM | named | two)
    assert [len(row) for row in last.matrix] == [2, 2]
    state = State(last.state_url)
    after = json.loads(bytes(state.read(state.manifest(2), "metrics.json")))["after"]
    assert list(after) == ["chunk 1, a", "chunk 1, b", "chunk 2, a", "chunk 2, b"]
    means = [sum(after[f"chunk {i}, {n}"]["accuracy"] for n in "ab") / 2 for i in (1, 2)]
    assert last.matrix[-1] == pytest.approx(means)
    assert last.metrics["average_accuracy"] == pytest.approx(sum(means) / 2)


def test_evaluate(workdir: Path) -> None:
    trained = renate.run({"state.url": "./state", "state.first": True, "trainer.max_epochs": 1})
    result = renate.run({"job": "evaluate", "state.url": "./state"})
    assert result.metrics["test_accuracy"] == trained.metrics["test_accuracy"]
    assert State("./state").versions() == [1]
    shutil.rmtree(workdir / "runs")
    with pytest.raises(JobError, match="version 4"):
        renate.run({"job": "evaluate", "job.version": 4, "state.url": "./state"})


HELD = """
import gc
from pathlib import Path
import pytorch_lightning as pl
import torch


class Held(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        gc.disable()
        size = trainer.train_dataloader.columns["inputs"].untyped_storage().nbytes()
        tensors = [each for each in gc.get_objects() if isinstance(each, torch.Tensor)]
        storages = [each.untyped_storage() for each in tensors]
        held = {each.data_ptr() for each in storages if each.nbytes() == size}
        with Path("held.txt").open("a") as file:
            file.write(f"{len(held)} ")
"""


def test_the_data_of_an_update_go_with_it(workdir: Path) -> None:
    """Whether or not Python's collector has come: the data set, this chunk and the next one."""
    (workdir / "own.py").write_text(HELD)
    chunks = ["scenario=permutation", "scenario.chunks=4", "trainer.max_steps=2"]
    own = "+callbacks.own._target_=own.Held"
    command("job=stream", *chunks, own, cwd=workdir, own_process=True)
    held = [int(count) for count in (workdir / "held.txt").read_text().split()]
    assert len(held) == 4
    assert max(held) <= 3, held
