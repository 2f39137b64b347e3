"""Which objects a config may make, and what it says when it may not."""

import sys
from pathlib import Path

import pytest
import torch

from renate.build import FROM_STATE, build, infer, locate, targets
from renate.errors import ConfigError


def test_builds_nested_objects_and_given_ones() -> None:
    made = build({"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1}, "loss")
    assert isinstance(made, torch.nn.CrossEntropyLoss)
    assert made.label_smoothing == 0.1
    weights = [torch.nn.Parameter(torch.zeros(2))]
    optimizer = build({"_target_": "torch.optim.SGD", "lr": 0.5}, "optimizer", params=weights)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_partial_waits_for_arguments() -> None:
    make = build({"_target_": "torch.optim.SGD", "lr": 0.5, "_partial_": True}, "optimizer")
    assert make([torch.nn.Parameter(torch.zeros(2))]).defaults["lr"] == 0.5


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("os.system", "loss._target_=os.system: not a model, updater"),
        ("subprocess.Popen", "not a model, updater"),
        ("torch.load", "not a model, updater"),
        ("builtins.eval", "not a model, updater"),
        ("pathlib.Path", "not a model, updater"),
        (
            "torch.nn.CrosEntropyLoss",
            "torch.nn has no 'CrosEntropyLoss', did you mean 'CrossEntropyLoss'?",
        ),
        ("no_such_package.Thing", "there is no module 'no_such_package'"),
        ("torch.nn.functional.no_such.Thing", "there is no module"),
        ("Thing", "expected package.module.Class"),
    ],
)
def test_refuses(target: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build({"_target_": target}, "loss")
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_indirect_path_is_refused_too() -> None:
    with pytest.raises(ConfigError, match="not a model"):
        locate("renate.seeds.derive", "loss")


@pytest.mark.parametrize(
    "target",
    [
        "renate.memory.reservoir.Reservoir",
        "torch.optim.SGD",
        "renate.jobs.passed_objects.loaded.PassedModel",
    ],
)
def test_a_states_config_may_name_less(target: str) -> None:
    with pytest.raises(ConfigError, match="a state's config may name only"):
        locate(target, "model", only=FROM_STATE)


def test_a_states_config_may_not_reach_through_an_allowed_module() -> None:
    # renate.models.mlp imports torch's Module; the name begins as it should, the class is another's
    with pytest.raises(ConfigError, match=r"which a state's config may not name|not a model"):
        locate("renate.updaters.base.Memory", "model", only=FROM_STATE)


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (
            {"lr": 0.1, "momentun": 0.9},
            "optimizer.momentun: SGD has no parameter 'momentun', did you mean 'momentum'?",
        ),
        ({"lr": -1.0}, "optimizer: torch.optim.SGD: Invalid learning rate: -1.0"),
    ],
)
def test_arguments_are_checked(node: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(
            {"_target_": "torch.optim.SGD", **node},
            "optimizer",
            params=[torch.nn.Parameter(torch.zeros(1))],
        )
    assert text in str(caught.value)


def test_missing_argument_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"model\.out_features: Linear needs it: \+model\.out_features=…"
    ):
        build({"_target_": "torch.nn.Linear", "in_features": 3}, "model")


def test_own_modules_may_hold_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_build.py").write_text("def make(size):\n    return [0] * size\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"trust=\['mine_for_build'\]"):
        build({"_target_": "mine_for_build.make", "size": 2}, "model")
    assert build(
        {"_target_": "mine_for_build.make", "size": 2}, "model", trust=["mine_for_build"]
    ) == [0, 0]
    monkeypatch.chdir(tmp_path)
    assert build({"_target_": "mine_for_build.make", "size": 3}, "model") == [0, 0, 0]
    sys.modules.pop("mine_for_build")


def test_targets_are_found_at_any_depth() -> None:
    node = {"a": {"_target_": "x.Y", "b": [{"_target_": "z.W"}]}}
    assert list(targets(node)) == [("a", "x.Y"), ("a.b[0]", "z.W")]


def test_infer_fills_only_nulls() -> None:
    assert infer({"a": None, "b": 2, "c": None}, {"a": 1, "b": 9}) == {"a": 1, "b": 2, "c": None}


def test_a_tensor_in_a_config_is_a_list() -> None:
    with pytest.raises(
        ConfigError,
        match=r"loss.weight._target_=torch.tensor: give the values as a list, as \+loss.w",
    ):
        locate("torch.tensor", "loss.weight")
