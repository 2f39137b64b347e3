"""Updates behind a gate: what is spoilt isn't used, and the next one starts from what is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load

import renate
from renate.api import Result
from renate.data.kept.trained import Trained
from renate.errors import ConfigError, JobError, NoVersionError
from renate.jobs import update as story
from renate.jobs.config_yaml import dump
from renate.jobs.running.execute import execute
from renate.launchers.sweeps.from_python import composed
from renate.state.aliases.move import move_alias
from renate.state.aliases.standing import names_of
from renate.state.aliases.verdict import Verdict, verdict_of
from renate.state.contents import metrics_from
from renate.state.publish import rollback
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table

QUICK = [
    "data=files",
    "data.target=label",
    "data.test_size=0.1",
    "data.val_size=0.4",
    "updater=fine_tuning",
    "memory=none",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=12",
    "optimizer.lr=0.1",
    "data.batch_size=16",
    "state.url=s",
]


def spoil(path: Path) -> Path:
    """Let each label be the next one."""
    table = pq.read_table(path)
    label = (table["label"].to_numpy() + 1) % 3
    pq.write_table(table.set_column(2, "label", [label]), path)
    return path


def update(file: Path, *more: str) -> Result:
    return renate.run([*QUICK, "gate=accuracy", f"data.train={file}", *more])


def verdict(version: int) -> Verdict:
    state = State("s")
    found = verdict_of(state.manifest(version), state.url)
    assert found is not None
    return found


@pytest.fixture
def weeks(workdir: Path) -> list[Path]:
    """Four weeks, the third with other labels, and one version made of the first."""
    files = [
        write_table(workdir / f"week{number}.parquet", seed=number, rows=300) for number in range(4)
    ]
    spoil(files[2])
    update(files[0], "state.first=true")
    return files


@pytest.mark.slow
def test_a_spoilt_week_is_rejected_and_the_next_starts_from_before(weeks: list[Path]) -> None:
    assert verdict(1) == Verdict(
        "promote", None, 0, ("the first version: there is none to compare it with",)
    )
    assert update(weeks[1]).version == 2
    assert names_of(State("s")) == {}

    rejected = update(weeks[2])
    assert rejected.version == 3
    found = verdict(3)
    assert (found.outcome, found.against) == ("reject", 2)
    assert any("forgetting on" in reason for reason in found.reasons)
    state = State("s")
    assert names_of(state) == {"current": 2}
    assert renate.load_model("s").version == 2
    assert renate.load_model("s", 3).version == 3, "it stays readable"

    # The same command doesn't train again, and says what came of it
    said = command(*QUICK, "gate=accuracy", f"data.train={weeks[2]}", cwd=Path.cwd()).stdout
    assert "already published as version 3" in said
    assert "rejected by its gate: version 2 stays in use" in said

    # What the rejected one was trained on is as new as ever, what version 2 was isn't
    update(weeks[3])
    assert verdict(4).against == 2
    assert state.manifest(4).parent.version == 2  # type: ignore[union-attr]
    trained = Trained.read(state, state.manifest(4))
    assert sorted(version for part in trained.parts for version in part.versions.values()) == [
        1,
        2,
        4,
    ]
    assert names_of(state) == {}
    again = renate.run([*QUICK, f"data.train={weeks[1]}"])
    assert again.version == 4, "week 1 was trained on by version 2"
    update(weeks[2], "data.seen=new", "seed=5")
    assert verdict(5).outcome == "reject"


@pytest.mark.slow
def test_the_regression_set_is_frozen_and_grows(weeks: list[Path]) -> None:
    def kept(version: int) -> torch.Tensor:
        state = State("s")
        found = load(bytes(state.read(state.manifest(version), "regression.safetensors")))
        return torch.cat([found["inputs"], found["targets"][:, None].float()], 1)

    small = "gate.regression.size=160"
    update(weeks[1], small, "gate.regression.per_update=40")
    first, second = kept(1), kept(2)
    assert 60 <= len(first) <= 140
    assert len(second) == min(len(first) + 40, 160)
    assert torch.equal(second[: len(first)], first)
    # Without a gate it is kept as it is
    renate.run([*QUICK, f"data.train={weeks[3]}"])
    assert torch.equal(kept(3), second)
    files = [State("s").manifest(n).files["regression.safetensors"] for n in (2, 3)]
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_first_version_waits_for_a_person_where_only_a_person_decides(workdir: Path) -> None:
    file = write_table(workdir / "a.parquet", seed=1, rows=120)
    first = [*QUICK, f"data.train={file}", "trainer.max_epochs=1", "gate=manual"]
    renate.run([*first, "state.first=true"])
    assert verdict(1).outcome == "hold"
    with pytest.raises(NoVersionError, match="no version is in use, its gate has promoted none"):
        renate.load_model("s")
    with pytest.raises(NoVersionError, match="no version is in use"):
        renate.run([*first, "seed=2"])
    command("state", "promote", "s", cwd=workdir)
    assert renate.load_model("s").version == 1


@pytest.mark.slow
def test_the_version_in_use_answers_as_it_was_published(workdir: Path) -> None:
    file = write_table(workdir / "a.parquet", seed=1, rows=300)
    more = write_table(workdir / "b.parquet", seed=2, rows=300)
    lines = [line for line in QUICK if not line.startswith(("updater", "trainer", "memory"))]
    lines += ["trainer.max_epochs=1", "optimizer.lr=1e-6", "gate=accuracy", "memory=reservoir"]
    renate.run([*lines, "updater=ncm", f"data.train={file}", "state.first=true"])
    asked = ["job=evaluate", f"data.train={more}", "data.target=label", "data.test_size=0.1"]
    published = renate.run([*lines[:4], *asked, "state.url=s"]).metrics["test_accuracy"]
    assert published > 0.6, "its prototypes tell the classes apart, and its network doesn't"

    # A network that has learned nothing isn't compared with itself
    renate.run([*lines, "updater=fine_tuning", f"data.train={more}"])
    state = State("s")
    before = metrics_from(state.read(state.manifest(2), "metrics.json"), "s")["before"]
    assert before["test"]["accuracy"] == pytest.approx(published)
    assert verdict(2).outcome == "reject"


def test_a_person_decides_in_the_end(weeks: list[Path]) -> None:
    update(weeks[1], "gate=manual")
    assert verdict(2).outcome == "hold"
    assert names_of(State("s")) == {"current": 1, "candidate": 2}
    state = State("s")
    move_alias(state, "current", 2, note="looked at")
    assert renate.load_model("s").version == 2
    # Compared before somebody goes back, published after it
    rollback(state, 1)
    assert renate.load_model("s").version == 3


@pytest.mark.slow
def test_what_was_moved_while_it_trained_stays(
    weeks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    update(weeks[1])
    publish = story.publish

    def late(to: State, job: str) -> Any:
        move_alias(State(to.url), "current", 1, note="2 is bad")
        return publish(to, job)

    monkeypatch.setattr(story, "publish", late)
    _, job = composed([*QUICK, "gate=accuracy", f"data.train={weeks[3]}"])
    job.directory.prepare(dump(job.config), replace(job.record, publish=True))
    done = execute(job.directory.path)
    assert done.version == 3
    assert done.gate is not None
    assert done.gate["outcome"] == "hold"
    assert "current was moved" in done.gate["reasons"][0]
    assert verdict(3).outcome == "promote"
    assert names_of(State("s")) == {"current": 1, "candidate": 3}


@pytest.mark.slow
def test_what_cannot_be_compared_is_told_before_anything_is_trained(weeks: list[Path]) -> None:
    with pytest.raises((ConfigError, JobError), match="gate: job=stream goes on from every"):
        update(weeks[1], "job=stream")
    with pytest.raises((ConfigError, JobError), match="gate.regression={'per_update': -1"):
        update(weeks[1], "gate.regression.per_update=-1")
    update(weeks[1], "gate=manual", "seed=3")
    with pytest.raises(JobError, match="the version in use, which is 1, and this update starts"):
        update(weeks[1], "state.version=2", "data.seen=again")
    assert State("s").versions() == [1, 2]


@pytest.mark.slow
def test_without_validation_data_it_goes_by_the_tests(workdir: Path) -> None:
    more = [
        "data.val_size=0",
        "objective.metric=null",
        "data.test_size=0.3",
        "trainer.max_epochs=2",
    ]
    for number in range(2):
        file = write_table(workdir / f"{number}.parquet", seed=number, rows=300)
        update(file, *more, f"state.first={number == 0}".lower())

    found = verdict(2)
    assert found.outcome == "hold", "nothing is kept by which forgetting could be told"
    assert "forgetting can't be told: the state keeps 0 examples" in found.reasons[-1]
    assert any("of test data" in name for name in found.measured)


@pytest.mark.slow
def test_a_tuners_winner_is_judged(weeks: list[Path]) -> None:
    with_tuner = ["optimizer.lr=choice(0.05,0.1)", "tuner=grid", "backend.workers=1"]
    command(
        *QUICK, "gate=accuracy", f"data.train={weeks[2]}", *with_tuner, cwd=Path.cwd(), timeout=120
    )
    assert verdict(2).outcome == "reject"
    assert names_of(State("s")) == {"current": 1}


@pytest.mark.slow
def test_several_test_sets_are_slices(weeks: list[Path]) -> None:
    tests = f"data.test={{us: {weeks[1]}, eu: {weeks[2]}}}"
    update(weeks[3], tests, "gate.max_slice_drop=0.05")
    found = verdict(2)
    assert found.outcome == "promote", found
    update(weeks[2], tests.replace(str(weeks[2]), str(weeks[0])), "seed=2")
    assert any("of test set us" in reason for reason in verdict(3).reasons)


@pytest.mark.slow
def test_regression_has_a_gate_of_its_own(workdir: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{x:.4f},{3 * x + 1:.4f}" for x in rng.normal(0, 1, 300)]
    Path("n.csv").write_text("x,y\n" + "\n".join(lines) + "\n")
    lines = [f"{x:.4f},{-9 * x:.4f}" for x in rng.normal(0, 1, 300)]
    Path("spoilt.csv").write_text("x,y\n" + "\n".join(lines) + "\n")
    more = ["data.target=y", "problem=regression", "gate=error", "gate.max_forgetting=0.2"]
    renate.run([*QUICK, *more, "data.train=n.csv", "state.first=true"])
    renate.run([*QUICK, *more, "data.train=spoilt.csv"])
    assert verdict(2).outcome == "reject"
