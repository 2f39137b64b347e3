"""Arguments of the package's own classes that can't be right: each number of each option, by the
constructor, as a job builds it.
"""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from renate.build import build, infer
from renate.errors import ConfigError
from renate.launchers.composing.conf import CONF

GROUPS = ("updater", "memory", "scenario", "gate", "policy", "problem")
# What a job takes out before a group's class is built
OURS = ("backfill", "max_ram", "grow", "slices", "regression")
# Degrees, and a gain that may be a loss
SIGNED = {("scenario", "rotation_per_week"), ("gate", "min_gain")}
SIZES = {"input_shape": [1, 8, 8], "in_channels": 1, "num_classes": 3, "num_heads": 2}
SIZES |= {"vocab_size": 20, "num_texts": 1, "num_numbers": 2, "cardinalities": [3]}


def nodes() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(group, option, its content) of each class of the package's."""
    for group in GROUPS:
        for path in sorted((CONF / group).glob("*.yaml")):
            content = yaml.safe_load(path.read_text()) or {}
            if str(content.get("_target_")).startswith("renate."):
                left_out = (*OURS, "defaults")
                yield group, path.stem, {k: v for k, v in content.items() if k not in left_out}


def numbers(node: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from numbers(value, (*place, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*place, name)


def changed(node: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    first, *rest = place
    inner = value
    if rest:
        inner = changed(node[first], tuple(rest), value)
    return node | {first: inner}


CASES = [
    (group, option, node, place)
    for group, option, node in nodes()
    for place in numbers(node)
    if (group, place[-1]) not in SIGNED
]


def test_there_are_enough() -> None:
    assert len(CASES) > 120


@pytest.mark.parametrize(
    ("group", "option", "node", "place"),
    CASES,
    ids=lambda v: ".".join(v) if isinstance(v, tuple) else None,
)
def test_no_number_below_0_nan_or_infinity_is_taken(
    group: str, option: str, node: dict[str, Any], place: tuple[str, ...]
) -> None:
    for value in (-1, float("nan"), float("inf"), True):
        with pytest.raises(ConfigError) as caught:
            build(changed(node, place, value), group)
        message = str(caught.value)
        assert place[-1] in message, message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("group", "option", "given", "told"),
    [
        ("updater", "super_er", {"der": {"alpha": 1.0}}, "updater.der.beta: DERTerms needs it"),
        (
            "updater",
            "super_er",
            {"der": {"alpha": 1.0, "bta": 1.0}},
            "updater.der.bta: no such key, did you mean 'beta'? (alpha, beta)",
        ),
        ("updater", "lora", {"alpha": 0.0}, "alpha=0.0: expected more than 0"),
        ("scenario", "rotation", {"chunks": None, "degrees": [1e30]}, "scenario.degrees=[1e+30]"),
        ("scenario", "rotation", {"chunks": None, "degrees": []}, "scenario.degrees=[]: expected"),
        (
            "scenario",
            "class_incremental",
            {"chunks": None, "groupings": []},
            "scenario.groupings=[]: expected a chunk or more",
        ),
        (
            "scenario",
            "class_incremental",
            {"chunks": None, "groupings": [3]},
            "scenario.groupings=[3]: expected a list of lists of whole numbers or null",
        ),
        (
            "scenario",
            "iid",
            {"chunks": 10**12},
            "scenario.chunks=1000000000000: expected 1 or more",
        ),
        ("scenario", "weekly", {"weeks": 0}, "scenario.weeks=0: expected 1 or more"),
        ("scenario", "feature_sorting", {"feature": 1.5}, "scenario.feature=1.5: expected a"),
        ("scenario", "rotation", {"max_degrees": math.inf}, "scenario.max_degrees=inf: expected"),
        ("policy", "time", {"days": math.inf}, "policy.days=inf: expected a number"),
        ("model", "text_bag", {"dropout": 1.0}, "dropout=1.0: expected 0 to less than 1"),
        ("model", "tabular", {"dropout": -0.5}, "dropout=-0.5: expected 0 to less than 1"),
        ("model", "multi_head", {"network": 5}, "network=5: expected the path of a class"),
        ("model", "mlp", {"num_classes": -1}, "model: renate.models.mlp.MLP: RuntimeError: "),
    ],
)
def test_what_else_cant_be_right(group: str, option: str, given: dict[str, Any], told: str) -> None:
    content = yaml.safe_load((CONF / group / f"{option}.yaml").read_text())
    left_out = (*OURS, "defaults", "weights", "freeze")
    node = {k: v for k, v in content.items() if k not in left_out} | given
    if group == "model":
        node = infer(node, SIZES)
    with pytest.raises(ConfigError) as caught:
        build(node, group)
    assert told in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["num_hidden_layers", "num_attention_heads", "intermediate_size"])
def test_an_architecture_counts_from_1(name: str) -> None:
    pytest.importorskip("transformers")
    content = yaml.safe_load((CONF / "model" / "vit.yaml").read_text())
    node = {k: v for k, v in content.items() if k not in (*OURS, "weights", "freeze")}
    architecture = node["architecture"]
    node = infer(node, SIZES)
    for value, told in ((0, f"{name}=0: expected 1 or more"), (1.5, name)):
        with pytest.raises(ConfigError, match=told) as caught:
            build(node | {"architecture": architecture | {name: value}}, "model")
        assert "\n" not in str(caught.value)
