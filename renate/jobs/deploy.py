"""A version, ready for inference, with no config at hand."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from renate.build import FROM_STATE, build
from renate.data.batch import BatchTransform
from renate.errors import StateError
from renate.jobs.parts import transform_of
from renate.jobs.restore import deploy_of, load_into, tensors_of
from renate.state.versions import State
from renate.updaters.base import Updater

LIVE = "renate.jobs.live.LiveModel"


class Predictor(nn.Module):
    """Test transform + model (+ the updater's own way to predict, where it has one), in eval mode.

    Attributes:
        model: The bare network.
        labels: The label of each output, in order.
        version: The version's number.
    """

    def __init__(
        self,
        model: nn.Module,
        updater: Updater | None,
        transform: BatchTransform,
        labels: list[Any],
        version: int,
    ) -> None:
        super().__init__()
        self.model, self.updater, self.labels, self.version = model, updater, labels, version
        self.transforms = nn.ModuleList(transform.inputs)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] of raw inputs [B, ...], as the data had them before any transform."""
        for transform in self.transforms:
            inputs = transform(inputs)
        logits: Tensor = self.updater.predict(self.model, inputs) if self.updater else self.model(inputs)
        return logits

    @torch.inference_mode()
    def predict(self, inputs: Tensor) -> list[Any]:
        """Return the label of each raw input [B, ...]."""
        return [self.labels[i] for i in self(inputs).argmax(1).tolist()]


def load_model(
    url: str, version: int | str | None = None, *, model: nn.Module | None = None, trust: Sequence[str] = ()
) -> Predictor:
    """Load a version for inference.

    Args:
        url: The state.
        version: A number or the name of a pin; None is the newest.
        model: A network to load the weights into, where the state can't name its class (`renate.run(model=…)`).
        trust: Modules of your own that the state's config may name besides renate's models and torch.nn.

    Raises:
        StateError: No such state or version, damaged bytes, or another architecture.
        ConfigError: The state's config names a class that it may not.
    """
    state = State(url)
    manifest = state.manifest(state.resolve(str(version)) if version is not None else None)
    deploy = deploy_of(state, manifest)
    rules = {"trust": tuple(trust), "only": FROM_STATE}
    tensors = tensors_of(state, manifest, "model")
    node = deploy["model"]
    if node["_target_"] == LIVE:
        if model is None:
            raise StateError(
                f"{url} was made by renate.run(model=…), whose class it can't name: "
                "pass a network of that class, load_model(url, model=net)"
            )
        tensors = {name.removeprefix("net."): tensor for name, tensor in tensors.items()}
    elif model is None:
        model = build(node, "model", **rules)
    assert model is not None
    load_into(model, tensors, f"version {manifest.version} of {url}")
    updater = build(deploy["updater"], "updater", **rules) if deploy["updater"] else None
    if updater is not None:
        updater.setup(model)
        load_into(updater, tensors_of(state, manifest, "updater"), url)
    inputs = {"inputs": {"test": deploy["transform"]["inputs"]}, "targets": {"test": []}}
    transform = transform_of(inputs, "test", "cpu", **rules)
    assert manifest.version is not None
    return Predictor(model, updater, transform, deploy["labels"], manifest.version)
