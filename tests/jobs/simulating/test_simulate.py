"""job=simulate beside what it stands for: a loop by hand, and the commands of a year."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load, save_file

import renate
from renate.errors import ConfigError, DataError, JobError
from renate.jobs.running.execute import execute
from renate.jobs.simulating.slice_row import SliceRow, read_rows, write_rows
from renate.state.versions import State
from tests.command import renate as command
from tests.jobs.simulating.weeks import BEGIN, QUICK, week, written


def played(folder: Path) -> list[SliceRow]:
    (path,) = (p.parent for p in folder.glob("*/simulation.parquet") if p.parent.name != "latest")
    return read_rows(path)


def tensors_of(state: State, version: int) -> dict[str, torch.Tensor]:
    return load(bytes(state.read(state.manifest(version), "model.safetensors")))


def test_a_loop_by_hand_comes_to_the_same(workdir: Path) -> None:
    """Full batches from given weights, so that no order of rows and no random number matters."""
    weeks = [week(number, turned=0.4 * number) for number in range(6)]
    file = written(workdir / "all.parquet", weeks)
    weight = torch.tensor([[0.3, -0.2], [0.1, 0.4], [-0.3, 0.2]])
    bias = torch.zeros(3)
    names = ("layers.1.weight", "layers.1.bias")
    save_file(dict(zip(names, (weight, bias), strict=True)), workdir / "begin.safetensors")

    command(
        *(*QUICK, "job=simulate", f"data.train={file}", "updater=fine_tuning", "data.val_size=0"),
        *("model.hidden_sizes=[]", "model.weights=begin.safetensors", "data.batch_size=10000"),
        *("objective.metric=null", "policy=amount", "policy.examples=100", "trainer.max_epochs=3"),
        cwd=workdir,
    )
    rows = played(workdir / "runs")

    expected: list[float | None] = []
    trained = []
    waiting: list[Any] = []
    for number, table in enumerate(weeks):
        x = torch.tensor(np.stack([table["x"], table["y"]], 1))
        y = torch.tensor(table["label"].to_numpy())
        score = float(((x @ weight.T + bias).argmax(1) == y).float().mean())
        expected.append(score if number else None)
        waiting.append((x, y))
        if number and sum(len(targets) for _, targets in waiting) < 100:
            continue

        trained.append(number + 1)
        inputs, targets = (torch.cat(parts) for parts in zip(*waiting, strict=True))
        waiting = []
        for _ in range(3):
            probabilities = (inputs @ weight.T + bias).softmax(1)
            error = (probabilities - torch.eye(3)[targets]) / len(targets)
            weight = weight - 0.1 * error.T @ inputs
            bias = bias - 0.1 * error.sum(0)

    assert trained == [1, 3, 5]
    assert [row.score for row in rows] == [pytest.approx(score, abs=1e-6) for score in expected]
    assert [row.slice for row in rows if row.updated] == trained
    assert rows[1].reasons == "60 new examples, policy.examples=100"
    final = tensors_of(State(str(next((workdir / "runs").glob("*/state")))), 3)
    assert torch.allclose(final[names[0]], weight, atol=1e-6)
    assert [row.time[:10] for row in rows[:2]] == ["2024-01-08", "2024-01-15"]


@pytest.mark.slow
def test_it_is_what_the_commands_of_these_weeks_would_have_been(workdir: Path) -> None:
    """The same weights bit for bit, the same encoder, and the scores of job=evaluate: nothing of a
    week, its categories and scales among it, is known before it has come.
    """
    weeks = [week(number, turned=0.4 * number) for number in range(3)]
    file = written(workdir / "all.parquet", weeks)
    whole = pq.read_table(file)
    line = [*QUICK, "data.inputs=[x,y,kind]", "updater=er", "data.val_size=0.2"]
    command(*line, "job=simulate", f"data.train={file}", cwd=workdir)
    rows = played(workdir / "runs")
    simulated = State(str(next((workdir / "runs").glob("*/state"))))

    by_week = (whole["day"].to_numpy() - BEGIN).astype("timedelta64[D]").astype(int) // 7
    for number in range(3):
        pq.write_table(whole.filter(by_week == number), workdir / f"{number}.parquet")
    test = ["data.test=2.parquet", "state.url=s"]
    for number in range(3):
        train = f"data.train={number}.parquet"
        if number:
            own = [train, f"data.test={number}.parquet", "state.url=s"]
            said = renate.run([*line, *own, "job=evaluate"])
            assert rows[number].score == said.metrics["test_accuracy"]
        first = f"state.first={'true' if number == 0 else 'false'}"
        command(*line, *test, train, first, "shift=reference", cwd=workdir)

    by_hand = State("s")
    for version in (1, 2, 3):
        ours = tensors_of(simulated, version)
        theirs = tensors_of(by_hand, version)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    encoders = [
        json.loads(bytes(state.read(state.manifest(1), "encoder.json")))
        for state in (simulated, by_hand)
    ]
    assert encoders[0] == encoders[1]
    assert '"c"' not in json.dumps(encoders[0])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished simulation in which a gate rejects one update."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    weeks = [week(number, 150, turned=2.1 * (number == 2)) for number in range(4)]
    file = written(folder / "all.parquet", weeks)
    command(
        *(*QUICK, "job=simulate", f"data.train={file}", "updater=fine_tuning", "data.val_size=0.3"),
        *("policy=performance", "policy.max_drop=0.1", "gate=accuracy", "trainer.max_epochs=8"),
        *("gate.intervals.min_examples=10", "gate.max_forgetting=0.05", "optimizer.lr=0.5"),
        *("gate.max_slice_drop=null", "gate.max_negative_flips=null"),
        cwd=folder,
    )
    (path,) = (p.parent for p in (folder / "runs").glob("*/job.json") if not p.parent.is_symlink())
    return path


def test_the_gate_decides_what_predicts_next(uninterrupted: Path) -> None:
    rows = read_rows(uninterrupted)
    assert [row.decision for row in rows] == ["update", "wait", "update", "wait"]
    spoilt = rows[2]
    assert spoilt.verdict == "reject"
    assert "forgetting" in str(spoilt.verdict_reasons)
    assert (spoilt.updated, spoilt.in_use) == (2, 1)
    assert rows[3].version == 1
    result = json.loads((uninterrupted / "result.json").read_text())
    known = [row.score for row in rows[1:]]
    assert result["metrics"]["prequential_accuracy"] == pytest.approx(np.mean(known))
    assert result["metrics"]["updates"] == 1
    assert result["metrics"]["promoted"] == 0
    wrong = sum(round((1 - float(score or 0)) * 150) for score in known)
    assert result["metrics"]["wrong_answers"] == wrong
    assert (result["metric"], result["mode"], result["version"]) == ("accuracy", "max", 1)


@pytest.mark.slow
def test_what_isnt_defined_has_no_score(workdir: Path) -> None:
    """In a week of one class there is no AUROC; wrong answers are counted all the same."""
    weeks = [week(0), week(1), week(2, classes=1), week(3)]
    file = written(workdir / "all.parquet", weeks)
    command(
        *(*QUICK, "job=simulate", f"data.train={file}", "policy=never", "job.metric=auroc"),
        "metrics=classification_detailed",
        cwd=workdir,
    )
    rows = played(workdir / "runs")
    assert [row.score is None for row in rows] == [True, False, True, False]
    assert all(row.errors is not None for row in rows[1:])
    result = json.loads(next((workdir / "runs").glob("*/result.json")).read_text())
    assert (result["metric"], result["mode"]) == ("auroc", "max")
    known = [row.score for row in rows if row.score is not None]
    assert result["metrics"]["prequential_auroc"] == pytest.approx(np.mean(known))


def test_too_few_to_hold_one_out_wait_for_more(workdir: Path) -> None:
    weeks = [week(0), week(1).slice(0, 1), week(2)]
    file = written(workdir / "all.parquet", weeks)
    command(*QUICK, "job=simulate", f"data.train={file}", cwd=workdir)
    rows = played(workdir / "runs")
    assert [row.updated for row in rows] == [1, None, 2]
    assert rows[1].decision == "update"
    assert "not yet: data.val_size=0.1 leaves none of 1 examples to train on" in rows[1].reasons
    assert [row.version for row in rows] == [None, 1, 1]


class KilledError(Exception):
    """What a test ends a job by."""


@pytest.mark.parametrize(("at", "row_is_lost"), [("slice 3/4: epoch 4", False), ("4/4", True)])
def test_interrupted_and_resumed_is_uninterrupted(
    at: str, row_is_lost: bool, uninterrupted: Path, tmp_path: Path
) -> None:
    """Within a fit; and when a version is published whose row isn't written yet."""
    folder = tmp_path / "job"
    folder.mkdir()
    for name in ("config.yaml", "job.json"):
        shutil.copy(uninterrupted / name, folder)

    def emit(event: dict[str, Any]) -> None:
        if at in str(event.get("text")):
            raise KilledError

    assert execute(folder, emit).failed
    rows = read_rows(folder)
    if row_is_lost:
        rows = rows[:2]
        write_rows(folder, rows)
    assert len(rows) == 2

    assert execute(folder).completed
    again = [replace(row, seconds=0.0) for row in read_rows(folder)]
    assert again == [replace(row, seconds=0.0) for row in read_rows(uninterrupted)]
    versions = [State(str(each / "state")) for each in (folder, uninterrupted)]
    for name, tensor in tensors_of(versions[0], 2).items():
        assert torch.equal(tensor, tensors_of(versions[1], 2)[name])


def test_what_another_program_wrote_is_refused(uninterrupted: Path, tmp_path: Path) -> None:
    write_rows(tmp_path, read_rows(uninterrupted)[1:])
    with pytest.raises(JobError, match="its slices don't follow one another.*resume=false"):
        read_rows(tmp_path)
    (tmp_path / "simulation.parquet").write_bytes(b"PAR1")
    with pytest.raises(JobError, match="not what a simulation writes"):
        read_rows(tmp_path)
    lines = (uninterrupted / "simulation.csv").read_text().splitlines()
    assert lines[0].split(",")[:5] == ["slice", "time", "examples", "score", "errors"]
    assert lines[1].startswith("1,2024-01-08T00:00:00+00:00,150,,,,update,")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        (["data.time=null"], ConfigError, "data=files data.time=COLUMN, or a scenario"),
        (["data.time=x"], DataError, "holds numbers.*scenario=time_incremental"),
        (["job.every=fortnight"], ConfigError, "job.every=fortnight: expected day, week"),
        (["job.begins=soon"], ConfigError, "job.begins=soon: expected a date"),
        (["job.first_slices=3"], DataError, "the data come in 3 slices, and one more"),
        (["job.window=0"], ConfigError, "job.window=0: expected a whole number"),
        (["job.not_promoted=agian"], ConfigError, "expected leave_out or again.*again"),
        (["job.metric=acuracy"], ConfigError, "acuracy: not measured.*accuracy"),
        (["job.cost.per_hour=-1"], ConfigError, "job.cost.per_hour=-1: expected a number"),
        (["scenario=iid"], ConfigError, "data.time=day says when examples came"),
        (["state.url=s"], ConfigError, "state.url=s: job=simulate keeps its versions"),
        (["policy=performance", "data.val_size=0", "objective.metric=null"], ConfigError, "val_s"),
        (
            ["data.target=kind", "data.inputs=[x,y]"],
            DataError,
            r"labels \['c'\] first come in slice",
        ),
        (["gate=manual"], None, "nobody promotes by hand in a simulation"),
        (
            ["tuner=random", "optimizer.momentum=interval(0,0.9)"],
            ConfigError,
            "policies side by side",
        ),
    ],
)
def test_what_cant_be_is_said_in_a_line(
    more: list[str], error: type | None, text: str, weeks_file: Path, workdir: Path
) -> None:
    line = [*QUICK, "job=simulate", f"data.train={weeks_file}", *more]
    with pytest.raises((JobError, ConfigError, DataError), match=text):
        renate.run(line)


@pytest.fixture(scope="module")
def weeks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three weeks."""
    folder = tmp_path_factory.mktemp("weeks")
    return written(folder / "all.parquet", [week(number) for number in range(3)])
