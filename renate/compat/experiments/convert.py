"""Renate's experiment files -> an experiment of ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from renate.build import shipped
from renate.compat.calls.running import tell_once
from renate.compat.files.description import Description
from renate.compat.space.keys import Translation
from renate.compat.space.learning_rate import OF_SCHEDULES, SCHEDULE
from renate.compat.space.methods import method_named
from renate.errors import ConfigError, nearest

# What a file may name besides its own keys -> the folder beside it with such files.
PARTS = {
    "scenario": "scenarios",
    "model": "models",
    "updater": "updaters",
    "dataset": "datasets",
}
DATA = {
    "MNIST": "mnist",
    "FashionMNIST": "fashion_mnist",
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
}
SCENARIOS = {
    "ClassIncrementalScenario": "class_incremental",
    "IIDScenario": "iid",
    "ImageRotationScenario": "rotation",
    "PermutationScenario": "permutation",
    "FeatureSortingScenario": "feature_sorting",
    "HueShiftScenario": "hue_shift",
}
# Of scenarios that sort: Renate's key -> ours.
OF_SORTING = {"feature_idx": "feature", "randomness": "randomness"}
MODELS = {"MultiLayerPerceptron": "mlp", "ResNet18CIFAR": "resnet18"}
SCALE = {"_target_": "renate.data.transforms.Scale"}
# The data say it, or the command does.
LEFT_OUT = ("num_inputs", "num_outputs", "input_dim", "backend", "job_name")
EXPECTED = "expected_accuracy"


def convert(path: Path) -> str:
    """Return the text of an experiment.

    Args:
        path: Renate's JSON; the files that it names lie in folders beside it, or further up.

    Raises:
        ConfigError: A key or a value that this package hasn't.
    """
    content = merged(path)
    choices = {"job": "stream"}
    values: dict[str, Any] = {}
    for part in (_data, _scenario, _model):
        option, found = part(content)
        choices |= option
        values |= found

    chosen, found = _updater(content, path)
    choices |= chosen
    for key, value in found.items():
        values[key] = value
    if not values["data.val_size"]:
        values["objective.metric"] = None

    head = f"# @package _global_\n# {path.name}, an experiment of Renate 0.5\n"
    defaults = [{f"override /{group}": option} for group, option in choices.items()]
    body: dict[str, Any] = {"defaults": defaults}
    for key, value in values.items():
        *groups, name = key.split(".")
        place = body
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value

    return head + yaml.safe_dump(body, sort_keys=False, default_flow_style=None)


def merged(path: Path) -> dict[str, Any]:
    """A file and those that it names, in one.

    Raises:
        ConfigError: One isn't there, or is no JSON.
    """
    content = _read(path)
    found: dict[str, Any] = {}
    for name, folder in PARTS.items():
        value = content.get(name)
        if isinstance(value, str) and value.endswith(".json"):
            found |= _read(_beside(path, f"{folder}/{value}"))
            del content[name]

    return found | content


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path}: no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping, it holds a {type(content).__name__}")

    return content


def _beside(path: Path, name: str) -> Path:
    for folder in path.resolve().parents[:4]:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"{path}: it names {name}, which is neither beside it nor further up")


def _taken(content: dict[str, Any], key: str, known: Mapping[str, str], what: str) -> str:
    """The option that a name stands for.

    Raises:
        ConfigError: There is none.
    """
    name = content.pop(key, None)
    if name not in known:
        raise ConfigError(
            f"{key}={name!r}: this package has no such {what}{nearest(str(name), known)} "
            f"({', '.join(known)})"
        )
    return known[name]


def _data(content: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """The data set, and what Renate's experiments made of its images."""
    name = content.get("dataset_name")
    option = _taken(content, "dataset_name", DATA, "data set")
    values: dict[str, Any] = {"data.val_size": content.pop("val_size", 0.0)}
    settings = shipped("compat", "experiments")
    if name not in settings["normalization"]:
        return {"data": option}, values

    normalized = settings["normalization"][name]
    values["transform.inputs.stream"] = [*settings["augmentation"], {**SCALE}, {**normalized}]
    values["transform.inputs.test"] = [{**SCALE}, {**normalized}]
    return {"data": option, "transform": "cifar10"}, values


def _scenario(content: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    option = _taken(content, "scenario_name", SCENARIOS, "scenario")
    chunks = content.pop("num_tasks", None)
    values: dict[str, Any] = {"scenario.chunks": chunks}
    for key in ("groupings", "class_groupings", "degrees"):
        listed = content.pop(key, None)
        ours = key.removeprefix("class_")
        if listed is None:
            continue
        if chunks is not None and len(listed) != chunks:
            raise ConfigError(f"{key} has {len(listed)} entries, num_tasks={chunks}")
        values |= {"scenario.chunks": None, f"scenario.{ours}": listed}

    for key, ours in OF_SORTING.items():
        value = content.pop(key, None)
        if value is not None:
            values[f"scenario.{ours}"] = value

    if option == "permutation" or option == "rotation":
        values["scenario.full"] = False
    return {"scenario": option}, values


def _model(content: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    option = _taken(content, "model_name", MODELS, "model")
    layers = content.pop("num_hidden_layers", None)
    size = content.pop("hidden_size", None)
    if option != "mlp":
        for key, value in (("num_hidden_layers", layers), ("hidden_size", size)):
            if value is not None:
                tell_once(f"{key}={value} is left out: only MultiLayerPerceptron has it")
        return {"model": option}, {}
    if not isinstance(layers, int) or size is None:
        raise ConfigError(
            f"num_hidden_layers={layers!r}, hidden_size={size!r}: MultiLayerPerceptron needs both"
        )

    if isinstance(size, int):
        sizes = [size] * (layers + 1)
    else:
        sizes = list(size)

    return {"model": option}, {"model.hidden_sizes": sizes}


def _updater(content: dict[str, Any], path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """What is left is a config_space."""
    method = method_named(content.pop("updater", "ER"))
    for key in [key for key in content if key in LEFT_OUT or key.startswith(EXPECTED)]:
        if key in ("backend", "job_name"):
            tell_once(f"{key}={content[key]}: not of the experiment, say it in the command")
        del content[key]

    seed = content.pop("seed", None)
    space = {key: value for key, value in content.items() if value is not None}
    if SCHEDULE not in space:
        space = {key: value for key, value in space.items() if key not in OF_SCHEDULES}

    lines = Translation(space, method, Description(path, {}), None, tell_once).overrides()
    choices: dict[str, str] = {}
    values: dict[str, Any] = {} if seed is None else {"seed": seed}
    for line in lines:
        key, _, text = line.lstrip("+").partition("=")
        value = yaml.safe_load(text)
        if "." in key:
            values[key] = value
        else:
            choices[key] = value

    return choices, values
