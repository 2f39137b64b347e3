"""A backend is one folder and one YAML: this one, in a repository of experiments, runs what any
other runs.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from renate import load_model, run
from renate.state.versions import State
from tests.command import renate

REPOSITORY = Path(__file__).parents[1] / "toy_repository"
QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]


@pytest.fixture
def toy(workdir: Path) -> list[str]:
    """The overrides that choose it."""
    shutil.copytree(REPOSITORY, workdir, dirs_exist_ok=True)
    return [*QUICK, "backend=toy", f"backend.staging={workdir}/store"]


@pytest.mark.slow
def test_updates_of_a_local_state(toy: list[str], workdir: Path) -> None:
    first = renate(*toy, "state.url=./state", "state.first=true", cwd=workdir)
    assert "submitted as toy-" in first.stderr
    assert "version     1 of ./state" in first.stdout
    renate(*toy, "state.url=./state", "seed=1", cwd=workdir)
    assert State(str(workdir / "state")).versions() == [1, 2]
    (record,) = (p for p in (workdir / "runs").glob("*/job.json") if p.parent.name == "latest")
    assert json.loads(record.read_text())["backend"] == "toy"
    again = renate(*toy, "state.url=./state", "seed=1", cwd=workdir)
    assert "already published as version 2 of ./state" in again.stdout


@pytest.mark.slow
def test_it_trains_as_this_machine_does(toy: list[str], workdir: Path) -> None:
    renate(*toy, "state.url=./there", "state.first=true", cwd=workdir)
    renate(*QUICK, "state.url=./here", "state.first=true", cwd=workdir)
    there, here = (State(str(workdir / url)).manifest().files for url in ("there", "here"))
    assert there["model.safetensors"].sha256 == here["model.safetensors"].sha256


@pytest.mark.slow
def test_a_sweeper_that_knows_nothing_of_renate_finds_it(toy: list[str], workdir: Path) -> None:
    done = renate(*toy, "hydra/sweeper=basic", "seed=0,1", cwd=workdir)
    assert done.stderr.count("submitted as toy-") == 2


@pytest.mark.slow
def test_a_tuner_stops_and_publishes(toy: list[str], workdir: Path) -> None:
    asked = ["search_space=lr", "tuner.max_trials=3", "state.url=./state", "state.first=true"]
    done = renate(*toy, *asked, cwd=workdir)
    assert "version     1 of ./state" in done.stdout
    assert State(str(workdir / "state")).versions() == [1]


@pytest.mark.slow
def test_a_sweep_is_one_job(toy: list[str], workdir: Path) -> None:
    done = renate(*toy, "backend.sweep=inside", "seed=0,1", "state.url=null", cwd=workdir)
    assert done.stderr.count("submitted as toy-") == 1
    states = [p.parent for p in (workdir / "runs").glob("*/state") if p.parent.name != "latest"]
    assert len(states) == 2, "each job's outcome came back"
    sweep = json.loads((workdir / "runs/latest/result.json").read_text())
    assert sweep["status"] == "completed"


@pytest.mark.slow
def test_a_job_that_fails_says_why(toy: list[str], workdir: Path) -> None:
    done = renate(*toy, "optimizer.lr=1e30", cwd=workdir, code=1)
    assert done.stderr.splitlines()[-1].startswith("renate: the loss is")


@pytest.mark.slow
def test_objects_of_the_caller_travel_with_a_job(
    toy: list[str], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workdir)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    asked = [line for line in toy if not line.startswith("model.")]
    given = run([*asked, "state.url=./state", "state.first=true"], model=net)
    assert given.version == 1
    loaded = load_model(str(workdir / "state"), model=net)
    assert len(loaded.predict(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))) == 2


def test_what_it_lacks_is_said_in_one_line(toy: list[str], workdir: Path) -> None:
    lacking = renate("backend=toy", cwd=workdir, code=1)
    assert lacking.stderr == "renate: backend=toy needs backend.staging=…\n"
    listed = renate("jobs", "ls", "--backend", "toy", cwd=workdir, code=1)
    assert (
        listed.stderr == "renate: ToyLauncher keeps no list of jobs: they are those of --run-dir\n"
    )
    mistyped = renate("jobs", "ls", "--backend", "toys", cwd=workdir, code=1)
    said = (
        "--backend toys: no such backend, did you mean 'toy'? (local, ray, sagemaker, slurm, toy)"
    )
    assert mistyped.stderr == f"renate: {said}\n"
