"""What every backend keeps to: the same commands, the same numbers, whatever is lost on the way.

`ELSEWHERE` names where a behaviour of a backend is looked at instead, or why it can't have it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch

from renate import load_model
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import read
from tests.command import RENATE, renate

from .clusters import BACKENDS, WITHIN, Backend, sagemaker

TOY = Path(__file__).parents[1] / "launchers" / "toy_repository"
QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]
FIRST = "state.first=true"
TUNED = ["search_space=lr", "tuner=random", "tuner.max_trials=3", "tuner.order=fixed", FIRST]
EPOCHS = 10
# Its steps are slow enough to be met in their midst: a file tells that one was made
LONG = [
    f"trainer.max_epochs={EPOCHS}",
    "model.hidden_sizes=[8]",
    "data.limit=200",
    "trainer.checkpoint_every=1",
    "+callbacks.slow._target_=own.Slow",
    FIRST,
]
# A callback of one's own that is given a secret
TOLD = [*QUICK, "+callbacks.told._target_=own.Told", "+callbacks.told.word=${oc.env:CONTRACT_WORD}"]
WORD = "not-for-the-disk"
GIVEN = "+backend.environment.CONTRACT_WORD=${oc.env:CONTRACT_WORD}"
OWN = """
import time
import pytorch_lightning as pl


class Slow(pl.Callback):
    \"\"\"Takes its time at the end of each epoch.\"\"\"

    def __init__(self, seconds=0.5):
        self.seconds = seconds

    def on_train_epoch_end(self, trainer, pl_module):
        time.sleep(self.seconds)


class Told(pl.Callback):
    def __init__(self, word):
        self.word = word

    def on_train_end(self, trainer, pl_module):
        print(f"a word of {len(self.word)} letters", flush=True)
"""
# Objects of the caller's, from a process of their own: a process has one Ray at most
LIVE = """
import sys
import torch
from torch import nn
import renate

torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
print("version", renate.run(sys.argv[1:], model=net).version)
"""
BY_DIRECTORY = "its jobs are known by their directories alone, and its `ls` says so"
ELSEWHERE = {
    "sagemaker": {
        "test_two_updates_end_as_here_and_are_published_once": (
            "test_sagemaker.py::test_updates_end_as_they_do_here"
        ),
        "test_a_secret_that_is_not_there_is_one_line": "test_sagemaker_errors.py::"
        "test_before_anything_is_uploaded",
        "test_a_job_that_fails_says_why_in_one_line": (
            "test_sagemaker.py::test_a_job_that_fails_says_why"
        ),
        "test_what_cannot_be_had_is_one_line": "test_sagemaker_errors.py::"
        "test_before_anything_is_uploaded",
        "test_a_lost_machine_and_a_command_that_ends_lose_nothing": "test_sagemaker.py::test_spot",
        "test_jobs_that_were_left_are_listed_stopped_and_waited_for": (
            "test_chain.py::test_stopped_by_another"
        ),
    },
    "local": {"test_jobs_that_were_left_are_listed_stopped_and_waited_for": BY_DIRECTORY},
    "toy": {
        "test_jobs_that_were_left_are_listed_stopped_and_waited_for": BY_DIRECTORY,
        "test_what_cannot_be_had_is_one_line": "it has no resources to ask for",
    },
}


@pytest.fixture(scope="module", params=[*BACKENDS, "sagemaker"])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    with ExitStack() as stack:
        if request.param == "sagemaker":
            yield sagemaker(request.getfixturevalue("services"))
        else:
            yield BACKENDS[request.param](stack, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def folder(
    request: pytest.FixtureRequest,
    backend: Backend,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder of experiments, with a module of one's own."""
    name = request.node.originalname
    if where := ELSEWHERE.get(backend.name, {}).get(name):
        pytest.skip(where)
    if backend.name == "sagemaker":
        request.getfixturevalue("aws")
    with_own_module(workdir)
    for name, value in {**backend.environment, "CONTRACT_WORD": WORD}.items():
        monkeypatch.setenv(name, value)
    return workdir


def with_own_module(folder: Path) -> None:
    shutil.copytree(TOY, folder, dirs_exist_ok=True)
    (folder / "own.py").write_text(OWN)


class Here:
    """What each command ends with on this machine, undisturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str) -> str:
        return renate(*words, cwd=self.folder, CONTRACT_WORD=WORD).stdout

    @cached_property
    def two(self) -> list[str]:
        """The weights of two updates, one upon the other."""
        self.run(*TOLD, "state.url=./two", FIRST)
        self.run(*QUICK, "state.url=./two", "seed=1")
        return [model_of(self.folder / "two", version) for version in (1, 2)]

    @cached_property
    def table(self) -> list[list[str]]:
        return figures(self.run(*QUICK, "seed=0,1"))

    @cached_property
    def tuned(self) -> tuple[list[Any], str]:
        self.run(*QUICK, *TUNED, "state.url=./tuned", "backend.workers=1")
        return trials(self.folder / "tuned"), model_of(self.folder / "tuned")

    @cached_property
    def long(self) -> str:
        self.run(*LONG, "state.url=./long")
        return model_of(self.folder / "long")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    folder = tmp_path_factory.mktemp("here")
    with_own_module(folder)
    return Here(folder)


def run(backend: Backend, folder: Path, *words: str, code: int = 0, reports: bool = False) -> str:
    """Run a command on a backend; returns all that it said. A process has one Ray at most."""
    alone = backend.name == "ray"
    command = backend.command(folder, *words)
    done = renate(*command, cwd=folder, code=code, own_process=alone, reports=reports)
    return done.stdout + done.stderr


def model_of(state: Path | str, version: int = 1) -> str:
    """What a version's weights are."""
    return State(str(state)).manifest(version).files["model.safetensors"].sha256


def figures(text: str) -> list[list[str]]:
    """The rows of a sweep's table, but for how long each took."""
    rows = [line.split() for line in text.splitlines() if " completed " in line]
    return [row[1:-1] for row in rows]


def trials(url: Path) -> list[Any]:
    """What a state remembers of its trials, but for what differs from run to run."""
    state = State(str(url))
    rows = read(state, state.verify())
    return [{k: v for k, v in row.items() if k not in ("seconds", "sweep")} for row in rows]


def reports(folder: Path) -> list[int]:
    """The steps that jobs have told of, as far as they are known here."""
    for path in (folder / "runs").glob("*/metrics.jsonl"):
        return [json.loads(line)["step"] for line in path.read_text().splitlines()]
    return []


def wait_for_reports(folder: Path, count: int, command: subprocess.Popen[str]) -> None:
    """Wait until a job has told of so many epochs."""
    end = time.monotonic() + WITHIN
    while len(reports(folder)) < count:
        assert command.poll() is None, command.communicate()[0]
        assert time.monotonic() < end, f"no {count} reports within {WITHIN:g} s"
        time.sleep(0.1)


def test_what_is_looked_at_elsewhere_is_there() -> None:
    """A behaviour's stand-in has its name; a reason is in words."""
    own = set(re.findall(r"def (test_\w+)", Path(__file__).read_text()))
    for behaviours in ELSEWHERE.values():
        assert set(behaviours) <= own
        for where in behaviours.values():
            file, _, name = where.partition("::")
            assert not name or f"def {name}(" in (Path(__file__).parent / file).read_text()


@pytest.mark.slow
def test_two_updates_end_as_here_and_are_published_once(
    backend: Backend, folder: Path, here: Here
) -> None:
    """With a module of one's own and a secret, which is in the job and on no disk."""
    given = [] if backend.inherits else [GIVEN]
    run(backend, folder, *TOLD, *given, "state.url=./there", FIRST)
    said = f"a word of {len(WORD)} letters"
    assert said in renate("jobs", "logs", "latest", cwd=folder).stdout
    record = json.loads((folder / "runs" / "latest" / "job.json").read_text())
    assert record.get("backend") == (backend.name if backend.elsewhere else None)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if WORD.encode() in path.read_bytes()]

    run(backend, folder, *QUICK, "state.url=./there", "seed=1")
    again = run(backend, folder, *QUICK, "state.url=./there", "seed=1")
    assert "already published as version 2 of ./there" in again
    assert [model_of(folder / "there", version) for version in (1, 2)] == here.two


@pytest.mark.slow
@pytest.mark.parametrize("sweep", ["per_trial", "inside"])
def test_a_sweep_ends_in_the_same_table(
    backend: Backend, folder: Path, here: Here, sweep: str
) -> None:
    if backend.name == "sagemaker" and sweep == "per_trial":
        pytest.skip("test_sagemaker_sweeps.py::test_each_trial_is_a_job")
    more = [f"backend.sweep={sweep}"] if backend.elsewhere else []
    there = run(backend, folder, *QUICK, *more, "seed=0,1")
    assert len(here.table) == 2
    assert figures(there) == here.table
    states = [p for p in (folder / "runs").glob("*/state") if p.parent.name != "latest"]
    assert len(states) == 2, "each job's outcome is here"
    if backend.elsewhere:
        assert there.count("submitted as ") == (1 if sweep == "inside" else 2)
    if (backend.name, sweep) == ("slurm", "per_trial"):
        machines = folder / "runs" / "slurm" / "machines"
        assert len(list(machines.glob("renate-array-*"))) == 1, "one call of sbatch"


@pytest.mark.slow
@pytest.mark.parametrize("sweep", ["per_trial", "inside"])
def test_a_tuner_publishes_its_winner_once(
    backend: Backend, folder: Path, here: Here, sweep: str
) -> None:
    if backend.name in ("local", "sagemaker") and sweep == "inside":
        pytest.skip("local has no other machine, and sagemaker's default is tested")
    more = [f"backend.sweep={sweep}"] if backend.name not in ("local", "sagemaker") else []
    asked = [*QUICK, *TUNED, *more, "state.url=./there", "backend.workers=1"]
    run(backend, folder, *asked)
    folders = sorted((folder / "runs").iterdir())
    assert "already published as version 1" in run(backend, folder, *asked, reports=True)
    assert sorted((folder / "runs").iterdir()) == folders, "and writes no page of nothing"
    assert State(str(folder / "there")).versions() == [1]
    assert (trials(folder / "there"), model_of(folder / "there")) == here.tuned
    assert len(here.tuned[0]) == 3


@pytest.mark.slow
def test_a_job_that_fails_says_why_in_one_line(backend: Backend, folder: Path) -> None:
    said = run(backend, folder, *QUICK, "optimizer.lr=1e30", code=1)
    assert said.rstrip().splitlines()[-1].startswith("renate: the loss is")
    assert "Traceback" not in said


@pytest.mark.slow
def test_what_cannot_be_had_is_one_line(backend: Backend, folder: Path) -> None:
    assert backend.refused is not None
    override, said = backend.refused
    assert run(backend, folder, *QUICK, override, code=1).rstrip().endswith(f"renate: {said}")


@pytest.mark.slow
def test_a_secret_that_is_not_there_is_one_line(
    backend: Backend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTRACT_WORD")
    said = run(backend, folder, *TOLD, code=1).rstrip().splitlines()
    assert "CONTRACT_WORD" in said[-1]
    assert said[-1].startswith("renate: ")
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_objects_of_the_callers_travel(backend: Backend, folder: Path) -> None:
    given = [word for word in QUICK if not word.startswith("model.")]
    words = backend.command(folder, *given, "state.url=./there", FIRST)
    command = [RENATE[0], "-c", LIVE, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN)
    assert done.stdout.endswith("version 1\n"), done.stderr
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    loaded = load_model(str(folder / "there"), model=net)
    assert len(loaded.predict(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))) == 2


@pytest.mark.slow
def test_a_lost_machine_and_a_command_that_ends_lose_nothing(
    backend: Backend, folder: Path, here: Here
) -> None:
    """The job goes on from its checkpoint, twice, and ends bit for bit like an undisturbed one."""
    words = backend.command(folder, *LONG, "state.url=./there")
    command = subprocess.Popen(
        [*RENATE, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with command:
        try:
            wait_for_reports(folder, 3, command)
            if backend.lose is not None:
                backend.lose()
                wait_for_reports(folder, 6, command)
            assert len(reports(folder)) < EPOCHS, "it was disturbed in its midst"
            command.send_signal(signal.SIGINT)
            said, _ = command.communicate(timeout=WITHIN)
        finally:
            command.kill()
    assert command.returncode == 130, said
    assert "Traceback" not in said
    assert not State(str(folder / "there")).versions()

    again = run(backend, folder, *LONG, "state.url=./there")
    assert model_of(folder / "there") == here.long
    assert State(str(folder / "there")).versions() == [1]
    steps = reports(folder)
    assert steps == sorted(set(steps)), "no report is lost or doubled"
    assert len(steps) == EPOCHS, again


@pytest.mark.slow
def test_jobs_that_were_left_are_listed_stopped_and_waited_for(
    backend: Backend, folder: Path, here: Here
) -> None:
    def jobs(*words: str, code: int | None = 0) -> str:
        alone = backend.name == "ray"
        given = [*words, "--backend", backend.name]
        done = renate("jobs", *given, cwd=folder, own_process=alone, code=code)
        return done.stdout + done.stderr

    url = backend.left.format(folder=folder)
    # So slow that it still runs once others have looked at it, on a busy machine too
    slow = "+callbacks.slow.seconds=3"
    asked = [*LONG, slow, f"state.url={url}", "backend.wait=false"]
    (name,) = re.findall(r"submitted as (renate-\w+)", run(backend, folder, *asked))
    assert name in jobs("ls")
    following = subprocess.Popen(
        [*RENATE, "jobs", "logs", name, "--follow", "--backend", backend.name],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    with following as lines:
        assert lines.stdout is not None
        assert any(line.startswith("epoch 2 ") for line in lines.stdout)
        assert name in jobs("stop", name)
        rest = lines.stdout.read().splitlines()
    assert rest[-1].endswith(f"({name})")
    assert State(url).versions() == []

    assert name not in run(backend, folder, *asked), "it is submitted once more, and goes on"
    jobs("wait", "latest")
    assert model_of(url) == here.long
    assert State(url).versions() == [1]
    assert "no job" in jobs("stop", "renate-none", code=1)
