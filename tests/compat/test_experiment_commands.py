"""Renate's own experiments by name, and its command line for them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.datasets import load_digits

from renate.benchmark import experiment_config
from renate.benchmark.experiment_config import data_module_fn, model_fn, train_transform
from renate.benchmark.experimentation import execute_experiment_job, experiment_config_file
from renate.compat.calls.command_line import space_of_flags
from renate.compat.experiments.command_line import main
from renate.compat.files.description import describe
from renate.errors import ConfigError
from renate.state.versions import State
from renate.tuning.space import Domain
from tests.command import workers_kept_warm

PERCEPTRON = {
    "model_name": "MultiLayerPerceptron",
    "num_inputs": 784,
    "num_outputs": 10,
    "num_hidden_layers": 0,
    "hidden_size": 16,
}
CHUNKS = {
    "dataset_name": "MNIST",
    "scenario_name": "ClassIncrementalScenario",
    "groupings": ((0, 1), (2, 3)),
    "val_size": 0.2,
}
NAMED = {"data_path": "d", "chunk_id": 0, "seed": 0, "dataset_name": "MNIST"}


@pytest.fixture(autouse=True)
def _warm() -> Iterator[None]:
    with workers_kept_warm():
        yield


@pytest.fixture
def mnist(workdir: Path) -> Path:
    """Digits of scikit-learn, in the files of MNIST and at its size, where a job looks for it."""
    raw = workdir / "renate_working_dir" / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits = load_digits()
    small = (digits.images * 255 / 16).astype(np.uint8).repeat(3, 1).repeat(3, 2)
    images = np.pad(small, ((0, 0), (2, 2), (2, 2)))
    for name, rows in (("train", slice(0, 400)), ("t10k", slice(400, 600))):
        pixels = images[rows]
        header = np.array([2051, *pixels.shape], ">u4").tobytes()
        (raw / f"{name}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = digits.target[rows].astype(np.uint8)
        header = np.array([2049, len(labels)], ">u4").tobytes()
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())

    return workdir


@pytest.mark.slow
def test_an_experiment_by_names(mnist: Path) -> None:
    training = {"updater": "ER", "optimizer": "SGD", "learning_rate": 0.1, "max_epochs": 3}
    matrix = execute_experiment_job(
        backend="local",
        config_file=experiment_config_file(),
        config_space=PERCEPTRON | CHUNKS | training | {"memory_size": 100},
        experiment_outputs_url="results",
        mode="max",
        metric="val_accuracy",
        num_updates=2,
    )
    assert matrix[0][0] > 0.9
    assert matrix[0][1] == 0, "digits that it has not seen yet"
    assert matrix[1][1] > 0.5
    weights = torch.load("results/update_1/model.ckpt", weights_only=True)
    assert weights["_backbone.1.weight"].shape == (16, 784)


def flags_of(**keys: Any) -> list[str]:
    return [part for key, value in keys.items() for part in (f"--{key}", str(value))]


def test_the_command_tunes_and_updates(mnist: Path) -> None:
    given: dict[str, Any] = {
        "experiment_outputs_url": "results",
        "num_updates": 1,
        "mode": "max",
        "metric": "val_accuracy",
        "updater": "DER",
        "max_epochs": 1,
        "max_num_trials_started": 2,
        "optimizer": "SGD",
        "learning_rate": "tag(log,interval(0.01,0.1))",
        "batch_size": "choice(16,64)",
    }
    main(flags_of(**(PERCEPTRON | CHUNKS | given)))

    state = State("results/update_0")
    config = yaml.safe_load(bytes(state.read(state.manifest(), "config.yaml")).decode())
    assert config["config_file"]["groupings"] == [[0, 1], [2, 3]]
    assert config["updater"]["_target_"].endswith("WeightedDERpp")
    assert config["trainer"]["max_epochs"] == 1
    assert config["trainer"]["deterministic"] is True
    assert 0.01 <= config["optimizer"]["lr"] <= 0.1
    assert config["data"]["batch_size"] in (16, 64)
    with Path("results/update_0/hpo.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"num_updates": 0}, "num_updates=0: expected a whole number"),
        ({"updater": "EE"}, "Renate has none of that name"),
        ({"hiden_size": 3}, "did you mean 'hidden_size'"),
        ({"save_state": "maybe"}, "--save_state maybe: expected True or False"),
        ({"config_file": "none.py"}, "config_file=none.py: no such file"),
    ],
)
def test_flags_that_cant_be_right(mnist: Path, more: dict[str, Any], message: str) -> None:
    needed = {"experiment_outputs_url": "r", "num_updates": 1, "mode": "max", "max_epochs": 1}
    given = PERCEPTRON | CHUNKS | needed | {"metric": "val_accuracy"} | more
    with pytest.raises(SystemExit, match=message):
        main(flags_of(**given))
    assert not Path("r").exists()


def test_domains_are_flags_in_our_grammar() -> None:
    flags = flags_of(batch_size="int(interval(8,64))", learning_rate="1e-3", model_name="choice(a)")
    assert space_of_flags(flags, describe(experiment_config_file())) == {
        "batch_size": Domain("int", 8, 64),
        "learning_rate": 0.001,
        "model_name": "choice(a)",
    }


@pytest.mark.parametrize("hidden_size", [8, [8, 4]])
def test_models_are_made_again_from_their_weights(workdir: Path, hidden_size: Any) -> None:
    made = model_fn(**(PERCEPTRON | {"num_hidden_layers": 1, "hidden_size": [8, 4]}))
    if isinstance(hidden_size, int):
        made = model_fn(**(PERCEPTRON | {"hidden_size": hidden_size}))
    torch.save(made.state_dict(), "model.ckpt")
    again = model_fn(10, "model.ckpt", "MultiLayerPerceptron")
    inputs = torch.rand(3, 1, 28, 28)
    assert torch.equal(made(inputs), again(inputs))


def test_images_of_cifar_are_cropped_and_normalised() -> None:
    image = torch.rand(3, 32, 32)
    mean = torch.tensor([0.49139968, 0.48215841, 0.44653091])[:, None, None]
    std = torch.tensor([0.24703223, 0.24348513, 0.26158784])[:, None, None]
    assert torch.allclose(
        experiment_config.test_transform("CIFAR10")(image), (image - mean) / std, atol=1e-6
    )

    trained = [train_transform("CIFAR10")(image) for _ in range(8)]
    assert {tuple(each.shape) for each in trained} == {(3, 32, 32)}
    assert any(not torch.equal(trained[0], each) for each in trained[1:])
    assert torch.equal(train_transform("MNIST")(image), image)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scenario_name": "DataIncrementalScenario"}, "expected one of ClassIncrementalScenario"),
        ({"scenario_name": "IIDScenario"}, "IIDScenario needs it, give num_tasks"),
        (
            {"scenario_name": "ImageRotationScenario", "degrees": (0, 9), "num_tasks": 3},
            "num_tasks=3: degrees has 2 entries",
        ),
    ],
)
def test_scenarios_that_cant_be_cut(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data_module_fn(**(NAMED | given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model_name": "MultiLayerPerceptrn"}, "did you mean 'MultiLayerPerceptron'"),
        ({"model_name": "MultiLayerPerceptron"}, "needs it, give num_inputs"),
    ],
)
def test_models_that_cant_be_made(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_fn(10, **given)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("1e-3", 0.001),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("[8, 4]", [8, 4]),
        ("null", None),
    ],
)
def test_a_flags_number_is_as_python_reads_it(text: str, value: Any) -> None:
    """To YAML 010 is 8, 1:30 is 90, and a date is no text."""
    found = space_of_flags(["--chunk", text], describe(experiment_config_file()))
    assert found == {"chunk": value}
    assert type(found["chunk"]) is type(value)
