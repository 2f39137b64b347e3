"""Weights of examples and of classes, against torch's and scikit-learn's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from renate.data.base import Data
from renate.errors import ConfigError, DataError
from renate.jobs.building.weighting import class_weights
from renate.losses.weighted import weighted_mean
from renate.problems.classification import Classification
from renate.problems.regression import Regression
from renate.state.versions import State
from tests.command import renate as command
from tests.data.scenes import files

CRITERIA = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 0.5])),
    nn.CrossEntropyLoss(label_smoothing=0.1),
    nn.MSELoss(),
    nn.HuberLoss(),
    nn.BCEWithLogitsLoss(),
]


def batch(criterion: nn.Module, rows: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    outputs = torch.randn(rows, 3)
    if isinstance(criterion, nn.CrossEntropyLoss):
        return outputs, torch.randint(0, 3, (rows,))
    return outputs, torch.rand(rows, 3)


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_a_weight_is_how_often_an_example_counts(criterion: nn.Module) -> None:
    outputs, targets = batch(criterion)
    counts = torch.arange(len(outputs)) % 4
    repeated = torch.arange(len(outputs)).repeat_interleave(counts)
    expected = criterion(outputs[repeated], targets[repeated])
    found = weighted_mean(criterion, outputs, targets, counts.float())
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        weighted_mean(criterion, outputs, targets, torch.full((12,), 2.5)),
        criterion(outputs, targets),
    )
    assert criterion.reduction == "mean", "left as it was"


def test_no_weight_at_all_is_no_loss() -> None:
    outputs, targets = batch(nn.CrossEntropyLoss())
    outputs.requires_grad_()
    loss = weighted_mean(nn.CrossEntropyLoss(), outputs, targets, torch.zeros(12))
    loss.backward()
    assert float(loss.detach()) == 0
    assert outputs.grad is not None
    assert not outputs.grad.any()
    with pytest.raises(ConfigError, match="data.weight: Sequential gives no loss of each example"):
        weighted_mean(nn.Sequential(), outputs, targets, torch.ones(12))


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    problem = Classification()
    problem.restore(["a", "b", "c", "d"], {})
    targets = np.array([0] * 5 + [1] * 20 + [3] * 2)
    found = class_weights(problem, {"targets": torch.from_numpy(targets)})
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=targets)
    np.testing.assert_allclose(found[[0, 1, 3]], expected, rtol=1e-6)
    assert found[2] == 1
    with pytest.raises(ConfigError, match="loss.weight=balanced is about classes, problem=regr"):
        class_weights(Regression(standardise=False), {"targets": torch.zeros(3, 1)})


def write(path: str, weights: list[Any], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    rows = len(weights)
    label = rng.integers(0, 2, rows)
    x = label + rng.normal(0, 0.3, rows)
    # What has no weight says the opposite
    shown = np.where(np.array([w or 0 for w in weights]) > 0, label, 1 - label)
    pq.write_table(pa.table({"x": x, "importance": weights, "label": shown}), path)


@pytest.mark.usefixtures("workdir")
def test_the_column_is_read_and_is_no_input() -> None:
    write("a.parquet", [0.5, 2, 3] * 20)
    data: Data = files("a.parquet", weight="importance").load(seed=0)
    assert data.inputs is not None
    assert data.inputs.names == ["x"]
    assert data.train["weights"].tolist() == [0.5, 2, 3] * 20
    assert data.train["weights"].dtype == torch.float32
    for value, text in [
        (-1.0, "row 0 (the first is 0), column 'importance' holds -1: a weight is"),
        (float("nan"), "column 'importance' holds nan: a weight is"),
        (None, "row 0 (the first is 0), column 'importance' is empty, data.weight needs"),
    ]:
        write("a.parquet", [value, 2.0, 3.0] * 4)
        with pytest.raises(DataError) as caught:
            files("a.parquet", weight="importance").load(seed=0)
        assert text in str(caught.value)

    write("a.parquet", [0.0] * 8)
    with pytest.raises(DataError, match="column 'importance': all weights are 0"):
        files("a.parquet", weight="importance").load(seed=0)


ON = ["data=files", "data.target=label", "state.url=./state", "trainer.max_epochs=6"]
ON += [
    "optimizer=adam",
    "optimizer.lr=0.02",
    "data.test=good.parquet",
    "data.val_size=0",
    "objective.metric=null",
]


def accuracy(version: int) -> float:
    state = State("./state")
    found = json.loads(bytes(state.read(state.manifest(version), "metrics.json")))
    return float(found["after"]["test"]["accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("updater", ["er", "derpp", "der", "offline_er", "gdumb"])
def test_replay_weighs_past_examples_too(updater: str, workdir: Path) -> None:
    write("good.parquet", [1.0] * 100, seed=9)
    write("1.parquet", [0.0, 0.0, 1.0] * 60, seed=1)
    write("2.parquet", [0.0, 0.0, 1.0] * 20, seed=2)
    weighed = [*ON, f"updater={updater}", "data.weight=importance"]
    command(*weighed, "data.train=1.parquet", "state.first=true", cwd=workdir)
    command(*weighed, "data.train=2.parquet", cwd=workdir)
    assert accuracy(1) > 0.9, "two thirds of the rows say the opposite, and weigh nothing"
    assert accuracy(2) > 0.9
    write("3.parquet", [1.0] * 60, seed=3)
    plain = [*ON, f"updater={updater}", "data.train=3.parquet"]
    refused = command(*plain, "data.inputs=[x]", cwd=workdir, code=1)
    assert "data.weight=null: the examples that the state's memory keeps have wei" in refused.stderr


@pytest.mark.slow
def test_balanced_classes_from_the_command_line(workdir: Path) -> None:
    rng = np.random.default_rng(0)
    label = (rng.random(400) < 0.04).astype(int)
    x = label + rng.normal(0, 0.4, 400)
    pq.write_table(pa.table({"x": x, "label": label}), "good.parquet")
    on = [*ON, "data.train=good.parquet", "metrics=classification_detailed"]
    command(*on, "loss.weight=balanced", "state.first=true", cwd=workdir)
    state = State("./state")
    found = json.loads(bytes(state.read(state.manifest(1), "metrics.json")))["after"]["test"]
    command(*on, "state.url=./plain", "state.first=true", cwd=workdir)
    state = State("./plain")
    plain = json.loads(bytes(state.read(state.manifest(1), "metrics.json")))["after"]["test"]
    assert found["accuracy/1"] > plain["accuracy/1"] + 0.1
    command(
        *ON[:-2], "job=evaluate", "data.train=good.parquet", "data.test=good.parquet", cwd=workdir
    )
