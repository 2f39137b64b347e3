"""`data.seen=new`: an update trains on files that no version of its lineage has trained on."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

import renate
from renate.api import Result
from renate.data.base import Known
from renate.data.files import Files
from renate.data.kept.trained import Trained
from renate.errors import ConfigError, DataError, JobError, NothingNewError
from renate.jobs import chunks
from renate.jobs import update as jobs_update
from renate.jobs.config_yaml import dump
from renate.jobs.running.execute import execute
from renate.launchers.sweeps.from_python import composed
from renate.state.versions import State
from tests.command import renate as command

ROWS = 60
QUICK = [
    "data=files",
    "data.target=label",
    "data.train='in/*.csv'",
    "model.hidden_sizes=[4]",
    "trainer.max_epochs=1",
    "trainer.eval_batch_size=64",
    "state.url=s",
]


def write(path: Path, first: int, rows: int = ROWS) -> Path:
    """Rows that are known by their number, of two classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{number},{number % 7},{number % 2}" for number in range(first, first + rows)]
    path.write_text("number,x,label\n" + "\n".join(lines) + "\n")
    return path


def update(*more: str) -> Result:
    return renate.run([*QUICK, *more])


def weights(url: str) -> dict[str, torch.Tensor]:
    state = State(url)
    return load(bytes(state.read(state.manifest(), "model.safetensors")))


def numbers(columns: Any) -> set[int]:
    return {int(row[0]) for row in columns["inputs"].tolist()}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each job of this process has read."""
    found: list[Any] = []
    before = chunks.load_data

    def noted(*given: Any, **named: Any) -> Any:
        found.append(before(*given, **named))
        return found[-1]

    monkeypatch.setattr(chunks, "load_data", noted)
    return found


def source(**given: Any) -> Files:
    settings: dict[str, Any] = {
        "train": "in/*.csv",
        "test": None,
        "test_size": 0.2,
        "target": "label",
        "inputs": None,
        "image_size": None,
        "cache_dir": "cache",
        "batch_size": 8,
        "val_size": 0.1,
        "limit": None,
        "seen": "new",
    }
    return Files(**(settings | given))


def test_five_weeks_train_on_each_row_once_and_on_no_row_that_is_held_out(workdir: Path) -> None:
    known = None
    trained = Trained()
    once: list[int] = []
    held: set[int] = set()
    for week in range(5):
        write(Path(f"in/{week}.csv"), week * ROWS)
        data = source().load(seed=week, known=known)
        assert data.val is not None
        once += sorted(numbers(data.train))
        held |= numbers(data.val) | numbers(data.test["test"])
        assert all(number // ROWS == week for number in numbers(data.train) | numbers(data.val))
        # What is measured is of all weeks: only that tells what was forgotten
        assert {number // ROWS for number in numbers(data.test["test"])} == set(range(week + 1))

        keys = [key for file in data.files["train"] for key in file.keys]
        trained = trained.extended(keys, week + 1)
        known = renate_known(data, trained)

    assert len(once) == len(set(once))
    assert not held & set(once)
    assert len(once) + len(held) == 5 * ROWS


def renate_known(data: Any, trained: Trained) -> Any:

    return Known(data.problem, data.inputs, data.split, trained=trained)


@pytest.mark.slow
def test_old_and_new_files_train_what_the_new_ones_alone_do(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    shutil.copytree("s", "alone")
    write(Path("in/2.csv"), ROWS)
    done = command(*QUICK, cwd=workdir)
    assert "data: 1 new file of 2, 1 was trained on by version 1" in done.stdout + done.stderr
    update("data.train=in/2.csv", "state.url=alone")
    ours = weights("s")
    theirs = weights("alone")
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_a_version_says_what_its_lineage_trained_on(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    update()
    state = State("s")
    trained = Trained.read(state, state.manifest())
    files = state.manifest().lineage["data"]["train"]
    assert [trained.version_of([content]) for _, content, _ in files] == [1, 2]
    assert state.verify(2).version == 2


def test_nothing_new_is_already_published(workdir: Path) -> None:
    """Also where the config is another one, and where the file has another name."""
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    Path("in/1.csv").rename("in/renamed.csv")
    done = command(*QUICK, "optimizer.lr=0.5", cwd=workdir)
    said = (
        "already published as version 1 of s: nothing is new: the one file of data.train was "
        "trained on by version 1; data.seen=again trains on all again"
    )
    assert said in done.stdout.replace("\n", " ")
    assert State("s").versions() == [1]
    assert update("optimizer.lr=0.5").version == 1


@pytest.mark.slow
def test_again_and_resume_false_train_on_all(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    update()
    assert update("data.seen=again").metrics
    assert State("s").versions() == [1, 2, 3]
    done = command(*QUICK, "resume=false", cwd=workdir)
    said = done.stdout + done.stderr
    assert "nothing is new: all 2 files of data.train were trained on by versions 1 to 2" in said
    assert State("s").versions() == [1, 2, 3, 4]


def test_a_changed_file_is_new(workdir: Path, read: list[Any]) -> None:
    write(Path("in/1.csv"), 0)
    first = source().load(seed=0)
    keys = [key for file in first.files["train"] for key in file.keys]
    known = renate_known(first, Trained().extended(keys, 1))
    with pytest.raises(NothingNewError):
        source().load(seed=0, known=known)
    write(Path("in/1.csv"), 0, ROWS + 1)
    assert len(numbers(source().load(seed=0, known=known).train)) > len(numbers(first.train)) - 1


@pytest.mark.slow
def test_a_rollback_makes_files_new_again(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    update()
    command("state", "rollback", "s", "1", cwd=workdir)
    done = command(*QUICK, cwd=workdir)
    assert "data: 1 new file of 2, 1 was trained on by version 1" in done.stdout + done.stderr
    assert State("s").versions() == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_state_of_before_says_so_once(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true", "scenario=iid", "scenario.chunks=2")
    done = command(*QUICK, cwd=workdir)
    said = "data: the state doesn't say which files it has trained on: its one file counts as new"
    assert said in done.stdout + done.stderr
    write(Path("in/2.csv"), ROWS)
    done = command(*QUICK, cwd=workdir)
    assert "doesn't say" not in done.stdout + done.stderr
    assert "1 new file of 2, 1 was trained on by version 2" in done.stdout + done.stderr


@pytest.mark.slow
def test_chunks_of_a_file_are_not_the_file(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    cut = ["scenario=iid", "scenario.chunks=2"]
    update("state.first=true", *cut)
    assert update(*cut, "job.chunk=1").version == 2
    state = State("s")
    assert not Trained.read(state, state.manifest()).parts


@pytest.mark.slow
def test_a_stream_has_seen_its_files_when_it_ends(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    renate.run([*QUICK, "job=stream", "scenario=iid", "scenario.chunks=2"])
    state = State("s")
    parts = [Trained.read(state, state.manifest(number)).parts for number in (1, 2)]
    assert [len(found) for found in parts] == [0, 1]
    assert update().version == 2  # nothing new


@pytest.mark.slow
def test_another_url_begins_with_what_the_first_has_seen(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    update("state.next_url=t")
    state = State("t")
    trained = Trained.read(state, state.manifest())
    files = state.manifest().lineage["data"]["train"]
    assert [trained.version_of([content]) for _, content, _ in files] == [0, 1]
    with pytest.raises(JobError, match="nothing is new: .* by version 1 and a state that"):
        update("state.url=t", "state.next_url=u")


@pytest.mark.slow
def test_a_sweep_on_what_is_old_is_refused_and_not_answered_with_old_figures(
    workdir: Path,
) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    done = command(*QUICK, "optimizer.lr=0.1,0.2", cwd=workdir, code=None)
    assert done.returncode == 1
    assert "nothing is new" in done.stderr
    done = command(*QUICK, "tuner=random", "search_space=auto", "tuner.max_trials=2", cwd=workdir)
    assert "already published as version 1 of" in done.stdout
    assert not list(Path("runs").glob("sweep-*"))


@pytest.mark.slow
def prepared(*more: str) -> Any:
    _, job = composed([*QUICK, *more])
    job.directory.prepare(dump(job.config), replace(job.record, publish=True))
    return job


@pytest.mark.slow
def test_a_killed_update_goes_on_with_the_same_files(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise SystemExit

    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    job = prepared()
    with monkeypatch.context() as patched:
        patched.setattr(jobs_update, "publish", dies)
        with pytest.raises(SystemExit):
            execute(job.directory.path)
    assert composed(list(QUICK))[1].id == job.id, "the same command is the same job"
    assert execute(job.directory.path).version == 2
    state = State("s")
    trained = Trained.read(state, state.manifest())
    assert sorted(v for part in trained.parts for v in part.versions.values()) == [1, 2]
    assert update().version == 2, "and is published"


@pytest.mark.slow
def test_of_two_commands_at_once_one_wins_and_the_other_goes_on_from_it(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    early = prepared()
    late = prepared(f"data.train=[in/1.csv,{write(Path('other/3.csv'), 2 * ROWS)}]")
    assert execute(early.directory.path).version == 2
    lost = execute(late.directory.path)
    assert lost.failed
    assert "update again from version 2" in lost.reason
    shutil.copy("other/3.csv", "in/3.csv")
    done = command(*QUICK, cwd=workdir)
    assert "data: 1 new file of 3, 2 were trained on by versions 1 to 2" in done.stderr


@pytest.mark.slow
def test_what_comes_between_composing_and_reading_is_trained_on_and_known(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    job = prepared()
    write(Path("in/3.csv"), 2 * ROWS)
    assert execute(job.directory.path).version == 2
    done = command(*QUICK, cwd=workdir)
    assert "all 3 files of data.train were trained on by versions 1 to 2" in done.stdout


@pytest.mark.slow
def test_an_older_version_has_seen_less(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    update()
    done = command(*QUICK, "state.version=1", "state.next_url=t", cwd=workdir)
    assert "data: 1 new file of 2, 1 was trained on by version 1" in done.stderr


@pytest.mark.slow
def test_all_trials_train_on_the_new_files(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    update("state.first=true")
    write(Path("in/2.csv"), ROWS)
    renate.run(
        [*QUICK, "tuner=random", "search_space=auto", "tuner.max_trials=2", "backend.workers=1"]
    )
    state = State("s")
    trained = Trained.read(state, state.manifest(2))
    assert sorted(v for part in trained.parts for v in part.versions.values()) == [1, 2]
    steps = {
        json.loads(path.read_text())["counts"]["steps"]
        for path in Path("runs").glob("*/trials/*/result.json")
    }
    assert len(steps) <= 1


def test_where_test_data_is_given_old_files_are_not_read(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    write(Path("test.csv"), 10_000)
    given = {"test": "test.csv", "val_size": 0.1}
    first = source(**given).load(seed=0)
    keys = [key for file in first.files["train"] for key in file.keys]
    known = renate_known(first, Trained().extended(keys, 1))
    write(Path("in/2.csv"), ROWS)
    Path("in/1.csv").chmod(0o644)
    second = source(**given).load(seed=0, known=known)
    assert [Path(file.name).name for file in second.files["train"]] == ["2.csv"]
    assert "data: 1 new file of 2, 1 was trained on by version 1" in second.notes


def test_new_files_that_are_all_held_out_are_told(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    first = source().load(seed=0)
    keys = [key for file in first.files["train"] for key in file.keys]
    known = renate_known(first, Trained().extended(keys, 1))
    write(Path("in/2.csv"), ROWS, rows=2)
    with pytest.raises(DataError, match=r"none of these 2 examples|2 examples in new files"):
        source().load(seed=0, known=known)


def test_a_mistyped_word_has_the_nearest() -> None:
    with pytest.raises(ConfigError, match="data.seen=agian: expected new or again, did you mean"):
        source(seen="agian")


def test_a_file_that_changes_while_it_is_read_is_an_error(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else rows that came after the reading would count as trained on."""
    from renate.data import files

    write(Path("in/1.csv"), 0)
    before = files.read_files

    def slow(names: Any, *rest: Any) -> Any:
        found = before(names, *rest)
        write(Path("in/1.csv"), 0, 2 * ROWS)
        return found

    monkeypatch.setattr(files, "read_files", slow)
    with pytest.raises(DataError, match="has changed while it was read"):
        source().load(seed=0)


def test_the_limit_is_taken_of_what_is_new(workdir: Path) -> None:
    write(Path("in/1.csv"), 0)
    first = source().load(seed=0)
    keys = [key for file in first.files["train"] for key in file.keys]
    known = renate_known(first, Trained().extended(keys, 1))
    write(Path("in/2.csv"), ROWS)
    second = source(limit=10).load(seed=0, known=known)
    assert len(second.train["targets"]) == 10
    assert np.min([*numbers(second.train)]) >= ROWS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("data.target=x", "data.target=x: the state's target is 'label': rename the column, or"),
        ("data.val_size=0.3", "data.val_size=0.3: the state holds out 0.1 for validation"),
        ("data.test_size=0.4", "data.test_size=0.4: the state holds out 0.2"),
        ("data.key=x", "the hold-out goes by data.key=[x], in the state by all inputs"),
        ("data.time=number", "the hold-out goes by data.time=number, in the state by all inputs"),
    ],
)
def test_another_rule_is_told_though_nothing_is_new(workdir: Path, changed: str, said: str) -> None:
    write(workdir / "in/1.csv", 0)
    update("state.first=true")
    assert update("seed=3").version == 1, "the same rule, and nothing new"
    with pytest.raises((DataError, JobError), match=re.escape(said)):
        update(changed)
    assert State("s").versions() == [1]
