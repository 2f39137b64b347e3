"""What an update does on a GPU, where there is one: `pytest -m gpu tests`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.command import renate
from tests.jobs.test_resume import LONG, files, interrupted, job_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine"),
]
SHORT = [
    "trainer.max_epochs=5",
    "optimizer.lr=0.05",
    "model.hidden_sizes=[32]",
    "memory.capacity=200",
]


def accuracy(folder: Path, *arguments: str, run: str = "run") -> float:
    renate(*arguments, f"run_dir={run}", cwd=folder)
    found = json.loads((job_of(folder / run) / "result.json").read_text())
    return float(found["metrics"]["test_accuracy"])


@pytest.mark.parametrize("updater", ["fine_tuning", "er", "derpp"])
def test_ends_like_on_the_cpu(updater: str, workdir: Path) -> None:
    found = {}
    for device in ("cpu", "gpu"):
        (workdir / device).mkdir()
        found[device] = accuracy(
            workdir / device, *SHORT, f"updater={updater}", f"trainer.accelerator={device}"
        )
    assert found["gpu"] == pytest.approx(found["cpu"], abs=0.03)


@pytest.mark.parametrize("updater", ["ewc", "fdr", "icarl", "lwf", "mas", "mir", "si", "slda"])
def test_what_is_taken_before_and_after_the_fit(updater: str, workdir: Path) -> None:
    """Teachers, importances, logits and exemplars, of a model that Lightning has moved away."""
    found = {}
    for device in ("cpu", "gpu"):
        folder = workdir / device
        folder.mkdir()
        one = [*SHORT, f"updater={updater}", f"trainer.accelerator={device}", "state.url=./state"]
        accuracy(folder, *one, "state.first=true")
        found[device] = accuracy(folder, *one, "seed=1", run="next")
    assert found["gpu"] == pytest.approx(found["cpu"], abs=0.03)


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed", "bf16-true", "64-true"])
def test_learns_in_every_precision(precision: str, workdir: Path) -> None:
    assert (
        accuracy(
            workdir,
            *SHORT,
            "updater=derpp",
            f"trainer.precision={precision}",
            "trainer.accelerator=gpu",
        )
        > 0.8
    )


def test_convolutions_learn(workdir: Path) -> None:
    model = [
        "model=resnet18",
        "model.width=8",
        "trainer.max_epochs=5",
        "data.batch_size=64",
        "optimizer.lr=0.05",
    ]
    assert accuracy(workdir, *model, "trainer.accelerator=gpu", "updater=er") > 0.8


def test_later_update_and_evaluation(workdir: Path) -> None:
    one = [*SHORT, "updater=derpp", "trainer.accelerator=gpu", "state.url=./state"]
    renate(*one, "state.first=true", cwd=workdir)
    renate(*one, "seed=1", cwd=workdir)
    said = renate(
        "job=evaluate", "state.url=./state", "trainer.accelerator=cpu", cwd=workdir
    ).stdout
    assert "accuracy" in said


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_goes_on_bit_for_bit(how: str, workdir: Path) -> None:
    arguments = [*LONG, "trainer.checkpoint_every=0.2", "trainer.accelerator=gpu"]
    interrupted(workdir, arguments, how)
    assert not (job_of(workdir / "runs") / "result.json").exists()
    renate(*arguments, cwd=workdir)
    renate(*arguments, "run_dir=whole", cwd=workdir)
    one = files(workdir, "runs")
    two = files(workdir, "whole")
    for name, tensors in one.items():
        assert all(torch.equal(tensors[k], two[name][k]) for k in two[name]), name


def test_equal_seeds_give_equal_bits(workdir: Path) -> None:
    found = []
    for run in ("one", "two"):
        renate(*SHORT, "updater=derpp", "trainer.accelerator=gpu", f"run_dir={run}", cwd=workdir)
        found.append(files(workdir, run))
    for name, tensors in found[0].items():
        assert all(
            np.array_equal(t.numpy(), found[1][name][k].numpy()) for k, t in tensors.items()
        ), name
