"""Renate's calls on SageMaker, against the loopback services."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from renate.state.contents import metrics_from
from renate.state.store import open_store
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import read
from tests.conftest import ROOT

from .services.start import Services
from .services.validate import problems

EXAMPLES = ROOT / "examples" / "train_classifier_sagemaker"


def run(script: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.by_hand
def test_the_examples_on_sagemaker(aws: Services, workdir: Path) -> None:
    """One after the other, as the second begins from what the first has left on S3."""
    place = f"s3://{aws.bucket}/{workdir.name}"
    run(EXAMPLES / "start_training_without_hpo.py", place, aws.role)
    first = State(f"{place}/first_model")
    assert first.versions() == [1]
    weights = bytes(open_store(first.url).get("model.ckpt"))
    assert "_tasks_params.default_task.weight" in torch.load(io.BytesIO(weights), weights_only=True)

    run(EXAMPLES / "start_training_with_hpo.py", place, aws.role, "25")
    second = State(f"{place}/second_model")
    parent = second.manifest().parent
    assert parent is not None
    assert parent.url == first.url
    assert len(read(second, second.manifest())) >= 1
    assert b"config_learning_rate" in bytes(open_store(second.url).get("hpo.csv"))

    requests = aws.requests("CreateTrainingJob")
    assert [problems("CreateTrainingJob", request) for request in requests] == [[], []]
    assert all(r["TrainingJobName"].startswith("renate-example") for r in requests)
    types = [r["ResourceConfig"]["InstanceType"] for r in requests]
    assert types == ["ml.m5.xlarge", "ml.m5.4xlarge"]
    assert {r["RoleArn"] for r in requests} == {aws.role}


@pytest.mark.slow
def test_an_experiment_on_sagemaker(aws: Services, workdir: Path) -> None:
    """A training job for each update; states and tables lie at the place that was asked for."""
    place = f"s3://{aws.bucket}/{workdir.name}"
    run(EXAMPLES / "start_experiment.py", place, aws.role)

    states = [State(f"{place}/experiment/update_{number}") for number in range(2)]
    parent = states[1].manifest().parent
    assert parent is not None
    assert parent.url == states[0].url

    table = bytes(open_store(f"{place}/experiment/logs").get("metrics_summary.csv")).decode()
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["Task ID"] for row in rows] == ["1", "2"]
    after = [
        metrics_from(state.read(state.manifest(), "metrics.json"), "")["after"] for state in states
    ]
    mean = (after[1]["chunk_0"]["accuracy"] + after[1]["chunk_1"]["accuracy"]) / 2
    assert float(rows[1]["Average Accuracy"]) == pytest.approx(mean)
    assert float(rows[0]["Average Accuracy"]) == after[0]["chunk_0"]["accuracy"] > 0.5

    requests = aws.requests("CreateTrainingJob")[-2:]
    assert [problems("CreateTrainingJob", request) for request in requests] == [[], []]
    assert all(r["TrainingJobName"].startswith("renate-experiment") for r in requests)
