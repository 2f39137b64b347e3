"""A state of the commit before memories became store and policy, and targets problems, goes on."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import renate
from renate.state.versions import State

OLD = Path(__file__).parent / "of_before_the_rooms"
SAME = ["data=files", "data.train=1.parquet", "data.target=label", "state.url=./state"]
SIZES = ["memory.capacity=20", "model.hidden_sizes=[4]", "trainer.max_epochs=1"]


@pytest.fixture
def state(workdir: Path) -> State:
    shutil.copytree(OLD, workdir, dirs_exist_ok=True)
    return State("./state")


@pytest.mark.slow
def test_it_is_updated_and_rolled_back(state: State) -> None:
    before = renate.load_model("./state")
    inputs = torch.randn(3, 2)
    answers = before(inputs)

    result = renate.run([*SAME, *SIZES, "updater=derpp", "seed=1"])
    assert result.version == 2
    meta = json.loads(bytes(state.read(state.manifest(2), "memory/meta.json")))
    earlier = json.loads(bytes(state.read(state.manifest(1), "memory/meta.json")))
    assert meta["policy"] == earlier["policy"] == "Reservoir"
    assert meta["count"] > earlier["count"], "the memory goes on counting where it was"

    kept = json.loads(bytes(state.read(state.manifest(2), "model.json")))
    assert kept["problem"]["_target_"] == "renate.problems.classification.Classification"
    assert torch.equal(renate.load_model("./state", 1)(inputs), answers)


def test_it_is_measured_as_it_was(state: State) -> None:
    found = json.loads(bytes(state.read(state.manifest(1), "metrics.json")))["after"]["test"]
    result = renate.run([*SAME, "job=evaluate"])
    assert result.metrics["test_accuracy"] == pytest.approx(found["accuracy"], abs=1e-6)
    assert result.metrics["test_loss"] == pytest.approx(found["loss"], rel=1e-5)
