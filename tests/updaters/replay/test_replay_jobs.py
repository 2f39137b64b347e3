"""Replay updaters through whole commands: two updates, the second with a class more."""

import json
from pathlib import Path

import pytest
import torch

import renate
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table

TRAINED = [
    *("trainer.max_epochs=6", "optimizer.lr=0.1", "model.hidden_sizes=[16]", "data.batch_size=16"),
    *("data=files", "data.target=label", "state.url=./state", "model.grow=true"),
    *("objective.metric=null", "memory.capacity=60"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["er_ace", "cls_er", "agem", "gem", "fdr", "mir", "gss", "icarl"])
def test_two_updates_and_a_new_class(name: str, workdir: Path) -> None:
    for week, classes in ((1, 3), (2, 4)):
        write_table(workdir / f"{week}.parquet", seed=week, rows=240, classes=classes)
        command(
            *(f"updater={name}", *TRAINED, f"data.train={week}.parquet"),
            f"state.first={str(week == 1).lower()}",
            cwd=workdir,
        )

    state = State("./state")
    measured = json.loads(bytes(state.read(state.manifest(2), "metrics.json")))
    assert measured["after"]["test"]["accuracy"] > 0.6
    evaluated = command(
        *("job=evaluate", f"updater={name}", *TRAINED, "data.train=2.parquet"), cwd=workdir
    ).stdout
    assert f"{measured['after']['test']['accuracy']:.4f}" in evaluated

    model = renate.load_model("./state")
    inputs = torch.randn(5, 2)
    answers = model(inputs)
    assert answers.shape == (5, 4)
    if name == "cls_er":
        assert model.updater is not None
        assert torch.equal(answers, model.updater.stable(inputs))
    if name == "icarl":
        assert (answers.abs() <= 2).all(), "cosines, not the network's outputs"
        assert not torch.equal(answers, model.model(inputs))


@pytest.mark.slow
def test_what_it_cant_learn_is_refused_before_training(workdir: Path) -> None:
    write_table(workdir / "1.parquet", seed=1, rows=60)
    done = command(
        *("updater=icarl", "data=files", "data.train=1.parquet", "data.target=x"),
        "problem=regression",
        cwd=workdir,
        code=None,
    )
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "ICaRL" in line]
    assert any("problem=regression: ICaRL learns classification alone" in line for line in lines)
    assert not (workdir / "state" / "versions").exists()
