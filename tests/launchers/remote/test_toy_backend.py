"""A backend is one folder and one YAML: this one, in a repository of experiments. That it runs what
any other runs is in backends/test_contract.py.
"""

import shutil
from pathlib import Path

import pytest

from tests.command import renate

REPOSITORY = Path(__file__).parents[1] / "toy_repository"
QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]


@pytest.fixture
def toy(workdir: Path) -> list[str]:
    """The overrides that choose it."""
    shutil.copytree(REPOSITORY, workdir, dirs_exist_ok=True)
    return [*QUICK, "backend=toy", f"backend.staging={workdir}/store"]


@pytest.mark.slow
def test_a_sweeper_that_knows_nothing_of_renate_finds_it(toy: list[str], workdir: Path) -> None:
    done = renate(*toy, "hydra/sweeper=basic", "seed=0,1", cwd=workdir)
    assert done.stderr.count("submitted as toy-") == 2


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
