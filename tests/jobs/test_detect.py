"""job=detect and policies of an update, on small tables."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load

import renate
from renate.errors import ConfigError, JobError
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table

QUICK = [
    "data=files",
    "data.target=label",
    "data.val_size=0.3",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=2",
    "state.url=s",
]


@pytest.fixture
def weeks(workdir: Path) -> dict[str, Path]:
    """One version with a reference; a week like its own, one that is turned, one without labels
    of before.
    """
    files = {
        "first": write_table(workdir / "first.parquet", seed=1, rows=300),
        "same": write_table(workdir / "same.parquet", seed=2, rows=300),
        "turned": write_table(workdir / "turned.parquet", seed=3, rows=300, shift=0.5),
        "more": write_table(workdir / "more.parquet", seed=4, rows=300, classes=4),
    }
    first = ["shift=reference", f"data.train={files['first']}", "state.first=true"]
    renate.run([*QUICK, *first])
    return files


def detect(file: Path, *more: str, code: int) -> str:
    line = [*QUICK, "job=detect", f"data.train={file}", *more]
    return command(*line, cwd=Path.cwd(), code=code).stdout


@pytest.mark.slow
def test_drift_is_told_and_decides(weeks: dict[str, Path]) -> None:
    said = detect(weeks["same"], "policy=drift", code=10)
    assert "drift       none found" in said
    assert "decision    wait" in said
    said = detect(weeks["turned"], "policy=drift", "output=drift.json", code=0)
    assert "drift       found" in said
    assert "decision    update" in said
    answer = json.loads(Path("drift.json").read_text())
    assert answer["decision"]["decision"] == "update"
    assert set(answer["drift"]["moved"]) & {"x", "y"}
    assert answer["detected"] == 1
    assert State("s").versions() == [1]


@pytest.mark.slow
def test_new_labels_are_drift(weeks: dict[str, Path]) -> None:
    said = detect(weeks["more"], "policy=drift", code=0)
    assert "labels 3 were never seen" in said
    refused = command(
        *QUICK,
        "job=detect",
        "policy=performance",
        f"data.train={weeks['more']}",
        cwd=Path.cwd(),
        code=1,
    )
    assert "labels [3] are new to version 1" in refused.stderr


@pytest.mark.slow
def test_other_policies_and_nothing_new(weeks: dict[str, Path]) -> None:
    assert "policy.examples=1000" in detect(weeks["same"], "policy=amount", code=10)
    detect(weeks["same"], "policy=amount", "policy.examples=100", code=0)
    detect(weeks["same"], "policy=time", code=10)
    detect(weeks["same"], "policy=time", "policy.days=0", code=0)
    detect(weeks["same"], "policy=any", code=10)
    said = detect(weeks["turned"], "policy=performance", "trainer.max_epochs=1", code=0)
    assert "on new data, policy.max_drop=0.02" in said
    assert "nothing is new" in detect(weeks["first"], "policy=always", code=10)


@pytest.mark.slow
def test_an_update_asks_first(weeks: dict[str, Path]) -> None:
    asking = [*QUICK, "policy=drift", "shift=reference"]
    said = command(*asking, f"data.train={weeks['same']}", cwd=Path.cwd()).stdout
    assert "decision    wait" in said
    assert State("s").versions() == [1]
    # The same command asks anew, and another one finds something
    command(*asking, f"data.train={weeks['same']}", cwd=Path.cwd())
    assert State("s").versions() == [1]
    command(*asking, f"data.train={weeks['turned']}", cwd=Path.cwd())
    assert State("s").versions() == [1, 2]
    # That is what the version in use knows now: another such week is nothing new
    another = write_table(Path("another.parquet"), seed=6, rows=300, shift=0.5)
    detect(another, "policy=drift", code=10)
    # Where usual is what this run directory has seen: the looks of before are kept with the version
    assert len(State("s").manifest(2).lineage["drift_effects"]) == 2
    usual = ["policy=unusual_drift", "policy.warmup=2", "policy.quantile=1"]
    said = detect(weeks["same"], *usual, code=10)
    assert "of the last 3 looks" in said


@pytest.mark.slow
def test_too_few_rows_for_drift_are_no_error_of_a_policy_that_counts(
    weeks: dict[str, Path], workdir: Path
) -> None:
    few = write_table(workdir / "few.parquet", seed=5, rows=12)
    assert "new examples, policy.examples=1000" in detect(few, "policy=amount", code=10)
    refused = command(
        *QUICK, "job=detect", "policy=drift", f"data.train={few}", cwd=workdir, code=1
    ).stderr
    assert "too few to compare by: job.detector.min_examples=30" in refused


@pytest.mark.slow
def test_several_processes_carry_the_reference_on(weeks: dict[str, Path]) -> None:
    two = ["trainer.devices=2", "trainer.accelerator=cpu", "shift=reference", "shift.fill=150"]
    command(*QUICK, *two, f"data.train={weeks['turned']}", cwd=Path.cwd())
    state = State("s")
    first, second = (
        load(bytes(state.read(state.manifest(number), "reference.safetensors")))
        for number in (1, 2)
    )
    assert len(second["inputs"]) > len(first["inputs"])
    assert int(second["#seen"]) == len(second["inputs"])


@pytest.mark.slow
def test_what_cannot_be_told_is_one_line(weeks: dict[str, Path], workdir: Path) -> None:
    renate.run([*QUICK[:-1], "state.url=bare", f"data.train={weeks['first']}", "state.first=true"])
    line = [*QUICK[:-1], "state.url=bare", "job=detect", f"data.train={weeks['same']}"]
    refused = command(*line, "policy=drift", cwd=workdir, code=1).stderr
    assert (
        "keeps no reference, so drift can't be told: give its next updates shift=reference"
        in refused
    )
    command(*line, "policy=amount", "policy.examples=1", cwd=workdir, code=0)
    with pytest.raises((ConfigError, JobError), match="policy: job=stream takes every chunk"):
        renate.run([*QUICK, "job=stream", "policy=drift", f"data.train={weeks['same']}"])
    table = pq.read_table(weeks["same"]).drop_columns(["x"])
    pq.write_table(pa.table(table), "narrow.parquet")
    refused = command(*QUICK, "job=detect", "data.train=narrow.parquet", cwd=workdir, code=1).stderr
    assert "x" in refused
