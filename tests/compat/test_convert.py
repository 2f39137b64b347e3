"""Renate's experiment files as experiments of ours: they compose, and say the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from renate.build import shipped
from renate.compat.calls import running
from tests.command import renate as command

# In the layout of Renate's own: suites/quick names files of the folders further up.
FILES: dict[str, Any] = {
    "suites/quick/er.json": {
        "scenario": "class-incremental.json",
        "model": "mlp.json",
        "updater": "er.json",
        "dataset": "mnist.json",
        "backend": "local",
        "job_name": "class-incremental-mlp-er",
        "expected_accuracy_linux": [[0.5, 0.3]],
    },
    "scenarios/class-incremental.json": {
        "val_size": 0.05,
        "scenario_name": "ClassIncrementalScenario",
        "class_groupings": [[0, 1], [2, 3]],
        "num_tasks": 2,
        "max_epochs": 5,
    },
    "models/mlp.json": {
        "model_name": "MultiLayerPerceptron",
        "num_hidden_layers": 1,
        "hidden_size": 200,
    },
    "updaters/er.json": {"updater": "ER", "memory_size": 500, "batch_size": 16, "alpha": 0.5},
    "datasets/mnist.json": {"dataset_name": "MNIST", "num_inputs": 784, "num_outputs": 10},
}


@pytest.fixture
def files(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(running, "_said", set())
    for name, content in FILES.items():
        path = workdir / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return workdir / "configs"


def changed(files: Path, name: str, **keys: Any) -> None:
    path = files / name
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def composed(folder: Path, name: str) -> Any:
    data = folder / "data" / "mnist"
    data.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        (data / f"{part}.parquet").touch()
    done = command(
        "--cfg", "job", f"experiment={name}", cwd=folder, RENATE_DATA=str(folder / "data")
    )
    return yaml.safe_load(done.stdout)


def test_an_experiment(files: Path, workdir: Path) -> None:
    done = command("convert", "configs/suites/quick/er.json", cwd=workdir)
    assert "conf/experiment/er.yaml: renate experiment=er" in done.stdout
    assert "backend=local: not of the experiment" in done.stderr

    config = composed(workdir, "er")
    assert config["job"]["name"] == "stream"
    assert config["data"]["target"] == "label"
    assert (config["data"]["val_size"], config["data"]["batch_size"]) == (0.05, 16)
    assert config["scenario"]["groupings"] == [[0, 1], [2, 3]]
    assert config["model"]["hidden_sizes"] == [200, 200]
    assert config["updater"]["_target_"].endswith("WeightedER")
    assert (config["updater"]["alpha"], config["memory"]["capacity"]) == (0.5, 500)
    assert config["trainer"]["max_epochs"] == 5
    assert config["optimizer"]["_target_"] == "torch.optim.Adam"
    assert config["optimizer"]["lr"] == 3e-4

    again = command("convert", "configs/suites/quick/er.json", cwd=workdir, code=1)
    assert "there is one already" in again.stderr
    command("convert", "configs/suites/quick/er.json", "--name", "other", cwd=workdir)
    assert composed(workdir, "other") == config


@pytest.mark.parametrize(
    ("scenario", "key", "expected"),
    [
        ({"scenario_name": "IIDScenario", "num_tasks": 3}, "chunks", 3),
        ({"scenario_name": "ImageRotationScenario", "degrees": [0, 30]}, "degrees", [0, 30]),
        ({"scenario_name": "PermutationScenario", "num_tasks": 4, "input_dim": 784}, "chunks", 4),
        (
            {
                "scenario_name": "FeatureSortingScenario",
                "num_tasks": 4,
                "feature_idx": 2,
                "randomness": 0.3,
            },
            "feature",
            2,
        ),
        (
            {"scenario_name": "HueShiftScenario", "num_tasks": 4, "randomness": 0.3},
            "randomness",
            0.3,
        ),
    ],
)
def test_scenarios(files: Path, workdir: Path, scenario: Any, key: str, expected: Any) -> None:
    path = files / "scenarios" / "class-incremental.json"
    path.write_text(json.dumps({"max_epochs": 1, "val_size": 0.0, **scenario}))
    command("convert", "configs/suites/quick/er.json", cwd=workdir)
    config = composed(workdir, "er")
    assert config["scenario"][key] == expected
    assert config["objective"]["metric"] is None, "there are no validation data to choose by"


def test_keys_of_parts_of_an_updater(files: Path, workdir: Path) -> None:
    super_er = {"updater": "Super-ER", "der_alpha": 0.3, "pod_normalize": 0}
    (files / "updaters" / "er.json").write_text(json.dumps(super_er))
    command("convert", "configs/suites/quick/er.json", cwd=workdir)
    updater = composed(workdir, "er")["updater"]
    assert updater["der"] == {"alpha": 0.3, "beta": 1.0}
    assert updater["pod"]["normalize"] is False
    assert updater["cls"]["stable_frequency"] == 0.7


def test_images_of_cifar_are_cropped_and_normalised(files: Path, workdir: Path) -> None:
    """As `experiment_config.py` does it, by which Renate ran these files."""
    changed(files, "datasets/mnist.json", dataset_name="CIFAR100")
    changed(files, "models/mlp.json", model_name="ResNet18CIFAR")
    done = command("convert", "configs/suites/quick/er.json", cwd=workdir)
    assert "hidden_size=200 is left out: only MultiLayerPerceptron has it" in done.stderr

    text = (workdir / "conf/experiment/er.yaml").read_text()
    assert "override /data: cifar100" in text
    inputs = yaml.safe_load(text)["transform"]["inputs"]
    kinds = [step["_target_"].rpartition(".")[2] for step in inputs["stream"]]
    assert kinds == ["RandomCrop", "RandomHorizontalFlip", "Scale", "Normalize"]
    assert inputs["test"] == inputs["stream"][2:]
    settings = shipped("compat", "experiments")
    assert inputs["test"][1] == settings["normalization"]["CIFAR100"]


@pytest.mark.parametrize(
    ("file", "keys", "message"),
    [
        ("datasets/mnist.json", {"dataset_name": "CLEAR10"}, "has no such data set"),
        ("models/mlp.json", {"model_name": "ResNet18"}, "did you mean 'ResNet18CIFAR'"),
        (
            "scenarios/class-incremental.json",
            {"scenario_name": "DataIncrementalScenario"},
            "no such scenar",
        ),
        ("scenarios/class-incremental.json", {"num_tasks": 5}, "2 entries, num_tasks=5"),
        ("updaters/er.json", {"memorysize": 3}, "did you mean 'memory_size'"),
        (
            "suites/quick/er.json",
            {"model": "bert.json"},
            "it names models/bert.json, which is neither",
        ),
    ],
)
def test_what_this_package_hasnt(
    files: Path, workdir: Path, file: str, keys: Any, message: str
) -> None:
    changed(files, file, **keys)
    done = command("convert", "configs/suites/quick/er.json", cwd=workdir, code=1)
    assert message in done.stderr
    assert not Path("conf").exists()


def test_files_that_are_none(workdir: Path) -> None:
    assert "no such file" in command("convert", "x.json", cwd=workdir, code=1).stderr
    (workdir / "x.json").write_text("{")
    assert "x.json: no JSON" in command("convert", "x.json", cwd=workdir, code=1).stderr
    (workdir / "x.json").write_text("[1]")
    assert "expected a mapping" in command("convert", "x.json", cwd=workdir, code=1).stderr
