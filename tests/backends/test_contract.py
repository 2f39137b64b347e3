"""What every backend keeps to: the same commands, the same numbers, whatever is lost on the way.

SageMaker has the same behaviours in its own files, against the services on loopback.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from renate.state.versions import State
from tests.command import RENATE, renate

from .clusters import BACKENDS, WITHIN, Backend

TOY = Path(__file__).parents[1] / "launchers" / "toy_repository"
QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]
# Its steps are slow enough to be met in their midst: a file tells that one was made
LONG = [
    "trainer.max_epochs=12",
    "model.hidden_sizes=[8]",
    "data.limit=200",
    "trainer.checkpoint_every=1",
    "+callbacks.slow._target_=own.Slow",
]
OWN = """
import time
import pytorch_lightning as pl


class Slow(pl.Callback):
    \"\"\"Half a second at the end of each epoch.\"\"\"

    def on_train_epoch_end(self, trainer, pl_module):
        time.sleep(0.5)
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    with ExitStack() as stack:
        yield BACKENDS[request.param](stack, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def folder(backend: Backend, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of experiments, with a module of one's own."""
    shutil.copytree(TOY, workdir, dirs_exist_ok=True)
    (workdir / "own.py").write_text(OWN)
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    return workdir


def run(backend: Backend, folder: Path, *words: str, code: int = 0) -> str:
    """Run a command on a backend; returns all that it said. A process has one Ray at most."""
    alone = "backend=ray" in backend.overrides
    done = renate(*backend.command(folder, *words), cwd=folder, code=code, own_process=alone)
    return done.stdout + done.stderr


def model_of(state: Path, version: int = 1) -> str:
    """What a version's weights are."""
    return State(str(state)).manifest(version).files["model.safetensors"].sha256


def test_two_updates_end_as_here_and_are_published_once(backend: Backend, folder: Path) -> None:
    run(backend, folder, *QUICK, "state.url=./there", "state.first=true")
    run(backend, folder, *QUICK, "state.url=./there", "seed=1")
    again = run(backend, folder, *QUICK, "state.url=./there", "seed=1")
    assert "already published as version 2 of ./there" in again

    renate(*QUICK, "state.url=./here", "state.first=true", cwd=folder)
    renate(*QUICK, "state.url=./here", "seed=1", cwd=folder)
    for version in (1, 2):
        assert model_of(folder / "there", version) == model_of(folder / "here", version)


@pytest.mark.parametrize("sweep", ["per_trial", "inside"])
def test_a_sweep_ends_in_the_same_table(backend: Backend, folder: Path, sweep: str) -> None:
    more = [] if "backend=local" in backend.overrides else [f"backend.sweep={sweep}"]
    there = run(backend, folder, *QUICK, *more, "seed=0,1")
    here = renate(*QUICK, "seed=0,1", "run_dir=elsewhere", cwd=folder).stdout

    def figures(text: str) -> list[list[str]]:
        rows = [line.split() for line in text.splitlines() if " completed " in line]
        return [row[1:-1] for row in rows]

    assert len(figures(here)) == 2
    assert figures(there) == figures(here)


def test_a_tuner_publishes_its_winner_once(backend: Backend, folder: Path) -> None:
    asked = ["search_space=lr", "tuner=random", "tuner.max_trials=3", "tuner.order=fixed"]
    first = ["state.first=true", "backend.workers=1"]
    run(backend, folder, *QUICK, *asked, *first, "state.url=./there")
    renate(*QUICK, *asked, *first, "state.url=./here", "run_dir=elsewhere", cwd=folder)
    assert State(str(folder / "there")).versions() == [1]
    assert model_of(folder / "there") == model_of(folder / "here")


def test_a_job_that_fails_says_why_in_one_line(backend: Backend, folder: Path) -> None:
    said = run(backend, folder, *QUICK, "optimizer.lr=1e30", code=1)
    assert said.rstrip().splitlines()[-1].startswith("renate: the loss is")
    assert "Traceback" not in said


def test_what_cannot_be_had_is_one_line(backend: Backend, folder: Path) -> None:
    if backend.refused is None:
        pytest.skip("it has no resources to ask for")
    override, said = backend.refused
    assert run(backend, folder, *QUICK, override, code=1).rstrip().endswith(f"renate: {said}")


def test_a_lost_machine_loses_nothing(backend: Backend, folder: Path) -> None:
    """The job goes on from its checkpoint, and ends bit for bit like an undisturbed one."""
    if backend.lose is None:
        pytest.skip("tests of its own: launchers/local, jobs/test_resume.py")
    words = backend.command(folder, *LONG, "state.url=./there", "state.first=true")
    command = subprocess.Popen(
        [*RENATE, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    reports = wait_for_reports(folder, 3)
    backend.lose()
    said, _ = command.communicate(timeout=3 * WITHIN)
    assert command.returncode == 0, said
    assert reports < 12, "it was lost in its midst"

    renate(*LONG, "state.url=./here", "state.first=true", "run_dir=elsewhere", cwd=folder)
    assert model_of(folder / "there") == model_of(folder / "here")
    assert State(str(folder / "there")).versions() == [1]
    lines = (folder / "runs" / "latest" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps)), "no report is lost or doubled"


def test_jobs_that_were_left_are_listed_and_waited_for(backend: Backend, folder: Path) -> None:
    name = next(word for word in backend.overrides if word.startswith("backend="))
    name = name.removeprefix("backend=")
    if name not in ("slurm", "ray"):
        pytest.skip("its jobs are known by their directories alone")
    asked = [*LONG, "state.url=./there", "state.first=true", "backend.wait=false"]
    left = run(backend, folder, *asked)
    assert "submitted as renate-" in left
    assert "renate-" in renate("jobs", "ls", "--backend", name, cwd=folder, own_process=True).stdout
    renate("jobs", "wait", "latest", "--backend", name, cwd=folder, own_process=True)
    assert State(str(folder / "there")).versions() == [1]


def wait_for_reports(folder: Path, count: int) -> int:
    """Wait until a job has told of so many epochs."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        for path in (folder / "runs").glob("*/metrics.jsonl"):
            reports = len(path.read_text().splitlines())
            if reports >= count:
                return reports
        time.sleep(0.1)
    raise AssertionError(f"no {count} reports within {WITHIN:g} s")
