"""A version, ready for inference, with no config at hand."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from renate.data.batch import BatchTransform
from renate.errors import StateError
from renate.jobs import passed_objects
from renate.jobs.saved.from_state import (
    deploy_of,
    from_state,
    load_into,
    module_from_state,
    problem_from,
    tensors_of,
    transform_from,
)
from renate.problems.base import Problem
from renate.state.versions import State
from renate.updaters.base import Updater


class Predictor(nn.Module):
    """Test transform + model (+ the updater's own way to predict, where it has one), in eval mode.

    Attributes:
        model: The bare network.
        labels: What each output stands for, in order.
        version: The version's number.
    """

    def __init__(
        self,
        model: nn.Module,
        updater: Updater | None,
        transform: BatchTransform,
        problem: Problem,
        version: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.updater = updater
        self.problem = problem
        self.version = version
        self.labels = list(problem.labels)
        self.transforms = nn.ModuleList(transform.inputs)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs [B, C] of raw inputs [B, ...], as the data had them before any transform.

        Of classes and labels these are logits; of numbers, what the model was trained on, see
        `answers`.
        """
        for transform in self.transforms:
            inputs = transform(inputs)

        logits: Tensor = (
            self.updater.predict(self.model, inputs) if self.updater else self.model(inputs)
        )
        return logits

    @torch.inference_mode()
    def predict(self, inputs: Tensor) -> list[Any]:
        """Return the answer for each raw input [B, ...]: a label, the labels that it has, or a
        number, or several.
        """
        return self.problem.decode(self(inputs))

    @torch.inference_mode()
    def answers(self, inputs: Tensor) -> Tensor:
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
            (`renate.run(model=…)`).
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
        updater = from_state(deploy["updater"], "updater", Updater, where, trust)  # type: ignore[type-abstract]
        updater.setup(model)
        load_into(updater, tensors_of(state, manifest, "updater"), where)

    transform = transform_from(deploy, "cpu", where, trust)
    assert manifest.version is not None

    return Predictor(
        model, updater, transform, problem_from(deploy, where, trust), manifest.version
    )


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
    if passed_objects.is_model(node["_target_"]):
        if model is None:
            raise StateError(
                f"{where} was made by renate.run(model=…), whose class it can't name: "
                "pass a network of that class, load_model(url, model=net)"
            )

        tensors = {name.removeprefix("net."): tensor for name, tensor in tensors.items()}
    elif model is None:
        model = module_from_state(node, "model", tensors, where, trust)

    assert model is not None
    load_into(model, tensors, where)

    return model
