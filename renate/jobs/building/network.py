"""A network, as a config or a state describes it."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from renate.build import build, infer, locate
from renate.checks.arguments import shown
from renate.data.base import Data
from renate.data.kept.encoders import target_of
from renate.errors import ConfigError
from renate.jobs.context import Config, Job
from renate.jobs.saved.given import maker_of
from renate.models.own.calling import adapt
from renate.state.contents import SIZES

OWN = "renate.models."  # of whose arguments it is known what they mean
# Sizes of them that are the data's or wrong, and those that may be larger.
SAME = (
    "num_classes",
    "num_texts",
    "num_numbers",
    "cardinalities",
    "padding_id",
    "max_answer",
    "end_id",
)
LEAST = ("vocab_size", "max_length")
# What of an architecture of transformers' such a model takes from its other arguments.
FROM_OTHERS = (
    "vocab_size",
    "max_position_embeddings",
    "n_positions",
    "pad_token_id",
    "image_size",
    "num_channels",
)
OUTPUT = "output"  # which of a network's outputs counts: a version keeps it beside the arguments
# Settings of the group `model` that are no arguments of the network, unless its constructor has one
# of that name.
SETTINGS = (OUTPUT, "weights", "freeze")


def sizes(data: Data) -> dict[str, Any]:
    """What a model's constructor may ask for and the data, or their encoder, answers.

    Raises:
        ConfigError: Both answer the same.
    """
    shape = data.input_shape
    found: dict[str, Any] = dict.fromkeys(SIZES)
    if shape is not None:
        found["input_shape"] = shape
        found["in_features"] = math.prod(shape)
        if len(shape) == 3:
            found["in_channels"] = shape[0]

    found |= data.problem.facts
    if data.encoder is None:
        return found

    facts = data.encoder.facts
    both = found.keys() & facts.keys()
    if both:
        raise ConfigError(
            f"data: {target_of(data.encoder)}.facts has '{min(both)}', which renate says itself: "
            "give it another name"
        )

    return found | facts


def model_node(job: Job, facts: Mapping[str, Any]) -> Config:
    """The model's config with its sizes filled in; this is what the state keeps of it."""
    node = kept_node(job.node("model"), job.config["trust"])
    unknown = [k for k, v in node.items() if v is None and k in facts and facts[k] is None]

    if unknown:
        shape = facts["input_shape"]
        inputs = "inputs that are several tensors"
        if shape is not None:
            inputs = f"inputs of shape {list(shape)}; it needs images [C, H, W]"
        raise ConfigError(
            f"model.{unknown[0]}=null: can't be read off {inputs}, or give it a value"
        )

    check_sizes(node, facts)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in infer(node, facts).items()}


def check_sizes(node: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Return if the sizes that a config gives one of this package's models are those of the data:
    with others a column would be left out, or an id would fail in the middle of an epoch.

    Args:
        node: The model's config.
        facts: What the data say of a model's sizes.

    Raises:
        ConfigError: One isn't.
    """
    if not node["_target_"].startswith(OWN):
        return

    for name in (*SAME, *LEAST):
        given = node.get(name)
        fact = facts.get(name)
        if given is None or fact is None or given == fact:
            continue
        if name in SAME:
            raise ConfigError(
                f"model.{name}={shown(given)}: expected {fact}, as the data have it, or null"
            )
        if isinstance(given, int) and given < fact:
            raise ConfigError(
                f"model.{name}={given}: expected {fact} or more, as the data have it, or null"
            )

    architecture = node.get("architecture")
    if not isinstance(architecture, Mapping):
        return
    for name in FROM_OTHERS:
        if name in architecture:
            raise ConfigError(
                f"model.architecture.{name}={shown(architecture[name])}: it follows from the data, "
                "whatever stands here: leave it out"
            )


def settings_in(
    node: Mapping[str, Any], trust: Sequence[str] = (), only: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return those of `SETTINGS` that a network's config has and its constructor hasn't.

    Args:
        node: The network's config.
        trust: See `renate.build.locate`.
        only: See `renate.build.locate`.

    Raises:
        ConfigError: The class isn't one that the config may name.
    """
    asked = [name for name in SETTINGS if name in node]
    if not asked:
        return {}

    make = locate(node["_target_"], "model", trust, only)
    try:
        taken = set(inspect.signature(make).parameters)
    except (TypeError, ValueError):
        taken = set()

    return {name: node[name] for name in asked if name not in taken}


def arguments_in(
    node: Mapping[str, Any], trust: Sequence[str] = (), only: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return a network's config without `settings_in`."""
    settings = settings_in(node, trust, only)
    return {name: value for name, value in node.items() if name not in settings}


def kept_node(node: Mapping[str, Any], trust: Sequence[str]) -> dict[str, Any]:
    """Return what a version keeps of a network's config: its arguments, and the output."""
    kept = arguments_in(node, trust)
    output = settings_in(node, trust).get(OUTPUT)
    if output is not None:
        kept[OUTPUT] = output
    return kept


def build_model(node: Mapping[str, Any], trust: Sequence[str]) -> nn.Module:
    """Build the network that a job's config describes, or a node that was kept of one.

    Raises:
        ConfigError: See `renate.build.build`.
    """
    model: nn.Module = build(arguments_in(node, trust), "model", trust=trust)
    adapt(bare(model, node), settings_in(node, trust).get(OUTPUT))
    return model


def bare(model: nn.Module, node: Mapping[str, Any]) -> nn.Module:
    """Return the user's own network: that within the wrapper of one that the caller passed."""
    if maker_of(node["_target_"]) is None:
        return model

    inner: nn.Module = model.get_submodule("net")
    return inner
