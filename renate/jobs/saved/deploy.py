"""A version, ready for inference, with no config at hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from renate.data.base import Encoder
from renate.data.batch import BatchTransform
from renate.data.kept.encoders import restore
from renate.data.kept.inputs import Inputs, compare
from renate.data.kept.raw import check_storable, rows_in
from renate.data.model_inputs import ModelInputs, mapping_of, named_columns
from renate.data.table import Table, described
from renate.errors import StateError
from renate.jobs.models.building import OUTPUT
from renate.jobs.saved.from_state import (
    deploy_of,
    encoder_of,
    from_state,
    load_into,
    module_from_state,
    problem_from,
    tensors_of,
    transform_from,
)
from renate.jobs.saved.given import maker_of
from renate.models.own.calling import adapt
from renate.problems.base import Problem
from renate.state.manifest import Manifest
from renate.state.versions import State
from renate.updaters.base import Updater


@dataclass(frozen=True)
class Feed:
    """How raw inputs become what the model is called with.

    Attributes:
        inputs: What the version was trained on; None where it was written before that was kept.
        encoder: As it was fitted; None where inputs are tensors already.
    """

    inputs: Inputs | None
    encoder: Encoder | None

    def __call__(self, raw: Any, device: torch.device) -> ModelInputs:
        """Return raw inputs encoded and, where they are several, padded, on a device.

        Raises:
            DataError: They are others than the version was trained on.
        """
        if self.encoder is None and (self.inputs is None or not self.inputs.fields):
            tensor: Tensor = raw
            return tensor

        rows = rows_in(raw, "inputs")
        found = raw
        if self.encoder is not None:
            found = self.encoder.encode(raw)

        found = check_storable(found, rows, "inputs")
        if self.inputs is not None:
            seen = described(Table(found, np.zeros(rows)))
            compare(replace(seen, target_kind=None), self.inputs, "inputs", "the state")

        if not isinstance(found, dict):
            encoded: Tensor = found
            return encoded.to(device)

        return mapping_of(named_columns(found), device)


class Predictor(nn.Module):
    """Test transform + model (+ the updater's own way to predict, where it has one), in eval mode.

    Attributes:
        model: The bare network.
        labels: What each output stands for, in order.
        version: The version's number.
        encoder: What turns raw inputs into tensors, as it was fitted; None where there is none.
    """

    def __init__(
        self,
        model: nn.Module,
        updater: Updater | None,
        transform: BatchTransform,
        problem: Problem,
        version: int,
        feed: Feed,
    ) -> None:
        super().__init__()
        self.model = model
        self.updater = updater
        self.problem = problem
        self.version = version
        self.labels = list(problem.labels)
        self.transforms = nn.ModuleList(transform.inputs)
        self.feed = feed
        self.encoder = feed.encoder
        self.eval()

    def forward(self, inputs: Any) -> Tensor:
        """Return outputs [B, C] of raw inputs, as the data had them before any transform: what the
        encoder takes, where there is one, else [B, ...], or a mapping of tensors and `Ragged`s.

        Of classes and labels these are logits; of numbers, what the model was trained on, see
        `answers`.
        """
        inputs = self.feed(inputs, self._device())
        for transform in self.transforms:
            inputs = transform(inputs)

        logits: Tensor = (
            self.updater.predict(self.model, inputs) if self.updater else self.model(inputs)
        )
        return logits

    def _device(self) -> torch.device:
        """Where the model is."""
        first = next(chain(self.parameters(), self.buffers()), None)
        return first.device if first is not None else torch.device("cpu")

    @torch.inference_mode()
    def predict(self, inputs: Any) -> list[Any]:
        """Return the answer for each raw input, see `forward`: a label, the labels that it has, a
        number, or several.
        """
        return self.problem.decode(self(inputs))

    @torch.inference_mode()
    def answers(self, inputs: Any) -> Tensor:
        """Return logits of classes [B, C], probabilities of labels [B, C], or values in their
        own units, float64.
        """
        return self.problem.answers(self(inputs))


def load_model(
    url: str,
    version: int | str | None = None,
    *,
    model: nn.Module | None = None,
    trust: Sequence[str] = (),
) -> Predictor:
    """Load a version for inference.

    Args:
        url: The state.
        version: A number or the name of a pin; None is the newest.
        model: A network to load the weights into, where the state can't name its class
            (`renate.run(model=…)`, a config file's `model_fn`).
        trust: Modules of your own that the state's config may name besides renate's models and
            torch.nn.

    Raises:
        StateError: No such state or version, damaged bytes, or another architecture.
        ConfigError: The state's config names a class that it may not.
    """
    state = State(url)
    manifest = state.manifest(state.resolve(str(version)) if version is not None else None)
    deploy = deploy_of(state, manifest)
    where = f"version {manifest.version} of {url}"
    model = _network(deploy["model"], tensors_of(state, manifest, "model"), where, model, trust)
    updater: Updater | None = None
    if deploy["updater"]:
        updater = from_state(deploy["updater"], "updater", Updater, where, trust)
        updater.setup(model)
        load_into(updater, tensors_of(state, manifest, "updater"), where)

    transform = transform_from(deploy, "cpu", where, trust)
    assert manifest.version is not None

    problem = problem_from(deploy, where, trust)
    feed = _feed_of(state, manifest, deploy, where, trust)

    return Predictor(model, updater, transform, problem, manifest.version, feed)


def _network(
    node: dict[str, Any],
    tensors: dict[str, Tensor],
    where: str,
    model: nn.Module | None,
    trust: Sequence[str],
) -> nn.Module:
    """A version's network, loaded: the one that is given, or of the class that the version names.

    Raises:
        StateError: The version can't name a class, or has other tensors.
    """
    made_by = maker_of(node["_target_"])
    if made_by is not None:
        if model is None:
            raise StateError(
                f"{where} was made by {made_by}: "
                "pass a network of that class, load_model(url, model=net)"
            )

        tensors = {name.removeprefix("net."): tensor for name, tensor in tensors.items()}
        adapt(model, node.get(OUTPUT))
    elif model is None:
        model = module_from_state(node, "model", tensors, where, trust)

    assert model is not None
    load_into(model, tensors, where)

    return model


def _feed_of(
    state: State, manifest: Manifest, deploy: dict[str, Any], where: str, trust: Sequence[str]
) -> Feed:
    kept = encoder_of(state, manifest)
    encoder = None
    if kept is not None:
        encoder = from_state(kept.node, "encoder", Encoder, where, trust)
        restore(encoder, kept)

    try:
        found = deploy.get("inputs")
        inputs = None
        if found is not None:
            inputs = Inputs.from_json(found)
    except ValueError as error:
        raise StateError(f"{where}: {error}: was this state made by renate?") from error

    return Feed(inputs, encoder)
