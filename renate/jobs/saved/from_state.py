"""What a state names and holds, made and loaded again: a state may come from a stranger."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.nn.parameter import is_lazy

from renate.build import FROM_STATE, build
from renate.data.batch import BatchTransform
from renate.data.kept.encoders import KeptEncoder
from renate.errors import RenateError, StateError
from renate.jobs.building.masking import SEEN
from renate.jobs.building.network import OUTPUT, arguments_in, settings_in
from renate.models.own.calling import adapt
from renate.problems.base import Problem
from renate.ranks import Ranks
from renate.state.contents import deploy_from, encoder_from
from renate.state.manifest import ENCODER, Manifest
from renate.state.tensors import shapes_from
from renate.state.versions import State
from renate.updaters.base import OF_CONFIG, Updater

Made = TypeVar("Made")

ENCODER_TENSORS = "encoder.safetensors"
CLASSES = "renate.problems.classification.Classification"


@dataclass
class Relayed:
    """A state as several processes read it together: the first one does, which alone needs to
    reach it.
    """

    state: State
    ranks: Ranks

    @property
    def url(self) -> str:
        """The URL of the state that is read."""
        return self.state.url

    def read(self, manifest: Manifest, name: str) -> bytes:
        """Return a file's bytes, which the first process reads and hands to the others; all must
        call this.

        Raises:
            StateError: See `State.read`; in the first process.
        """
        return self.ranks.broadcast(lambda: bytes(self.state.read(manifest, name)))


def deploy_of(state: State | Relayed, manifest: Manifest) -> dict[str, Any]:
    """model.json of a version: model, labels, transform, updater.

    Raises:
        StateError: It isn't what an update writes.
    """
    where = f"{state.url}: 'model.json' of version {manifest.version}"
    return deploy_from(state.read(manifest, "model.json"), where)


def encoder_of(state: State | Relayed, manifest: Manifest) -> KeptEncoder | None:
    """What a version keeps of its source's encoder; None where it has none.

    Raises:
        StateError: It isn't what an update writes.
    """
    if ENCODER not in manifest.files:
        return None

    where = f"{state.url}: '{ENCODER}' of version {manifest.version}"
    found = encoder_from(state.read(manifest, ENCODER), where)
    if found["encoder"] is None:
        return None

    kept: dict[str, Any] = dict(found["state"])
    if ENCODER_TENSORS in manifest.files:
        kept |= tensors_of(state, manifest, "encoder")

    settings = dict(found["encoder"])
    return KeptEncoder(settings.pop("_target_"), settings, kept)


def encoder_files(encoder: KeptEncoder | None) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a version from which `encoder_of` reads it; also where there is none,
    which then says that the inputs are several tensors.
    """
    content: dict[str, Any] = {"encoder": None, "state": {}}
    if encoder is not None:
        content = {"encoder": encoder.node, "state": encoder.plain}

    yield ENCODER, json.dumps(content, indent=1, allow_nan=False).encode()

    if encoder is not None and encoder.tensors:
        yield ENCODER_TENSORS, save(encoder.tensors)


def from_state(
    node: dict[str, Any], key: str, kind: type[Made], where: str, trust: Sequence[str]
) -> Made:
    """Build an object that a state names: of the classes that a state may name, and of the kind
    that is expected.

    Raises:
        ConfigError: It names another class.
        StateError: It can't be built.
    """
    try:
        made = build(node, key, trust=trust, only=FROM_STATE)
    except RenateError:
        raise
    except Exception as error:  # arguments of a stranger's may make a constructor raise anything
        reason = (str(error).splitlines() or ["no message"])[0]
        raise StateError(
            f"{where}: {key} can't be built: {type(error).__name__}: {reason}"
        ) from error

    if not isinstance(made, kind):
        raise StateError(f"{where}: {key}._target_={node['_target_']}: expected a {kind.__name__}")

    return made


def module_from_state(
    node: dict[str, Any],
    key: str,
    tensors: dict[str, torch.Tensor],
    where: str,
    trust: Sequence[str],
) -> nn.Module:
    """Build a network that a state names, once it is known that the state's tensors are of its
    size.

    A config can ask for a network of any size; without this the memory for it would be taken first.
    """
    arguments = arguments_in(node, trust, FROM_STATE)
    if node["_target_"].startswith(FROM_STATE):
        with torch.device("meta"):
            check_tensors(from_state(arguments, key, nn.Module, where, trust), tensors, where)

    made = from_state(arguments, key, nn.Module, where, trust)
    return adapt(made, output_of(node, where, trust))


def output_of(node: dict[str, Any], where: str, trust: Sequence[str]) -> str | int | None:
    """Which of a network's outputs a state's config says to be the logits.

    Raises:
        StateError: It says neither a name nor a place.
    """
    output = settings_in(node, trust, FROM_STATE).get(OUTPUT)
    if output is None or (isinstance(output, str | int) and not isinstance(output, bool)):
        return output

    raise StateError(f"{where}: model.output is {output!r}: was this state made by renate?")


def node_of(problem: Problem) -> dict[str, Any]:
    """What model.json keeps of a problem: its config, and what it has learned besides the
    labels.
    """
    target = f"{type(problem).__module__}.{type(problem).__qualname__}"
    return {"_target_": target, **problem.settings, "fitted": problem.fitted()}


def problem_from(deploy: dict[str, Any], where: str, trust: Sequence[str]) -> Problem:
    """What a version predicts: the reverse of `node_of`; states of before know of classes alone.

    Raises:
        ConfigError: It names a class that it may not.
        StateError: It can't be built, or isn't what an update writes.
    """
    node = deploy.get("problem", {"_target_": CLASSES, "fitted": {}})
    settings = {name: value for name, value in node.items() if name != "fitted"}
    problem: Problem = from_state(settings, "problem", Problem, where, trust)

    try:
        problem.restore(deploy["labels"], node["fitted"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{where}: {error}: was this state made by renate?") from error

    return problem


def transform_from(
    deploy: dict[str, Any], device: str | torch.device, where: str, trust: Sequence[str]
) -> BatchTransform:
    """The test transform of a version."""
    made = {
        side: [
            from_state(node, f"transform.{side}[{i}]", nn.Module, where, trust)
            for i, node in enumerate(deploy["transform"][side])
        ]
        for side in ("inputs", "targets")
    }
    return BatchTransform(made["inputs"], made["targets"], device)


def tensors_of(state: State | Relayed, manifest: Manifest, name: str) -> dict[str, torch.Tensor]:
    """The tensors of <name>.safetensors.

    Raises:
        StateError: Its header lies, or it is another kind of file.
    """
    data = bytes(state.read(manifest, f"{name}.safetensors"))
    where = f"{state.url}: '{name}.safetensors' of version {manifest.version}"
    shapes_from(data, where)

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise StateError(f"{where} is no safetensors file: {str(error).splitlines()[0]}") from error


def load_into(
    module: nn.Module, tensors: dict[str, torch.Tensor], origin: str, kind: str = "model"
) -> None:
    """Load tensors by name, into a module that may have to be made by them first (`begin_from`).

    Raises:
        StateError: Naming the first tensor that is missing, left over, or of another shape.
    """
    if isinstance(module, Updater):  # what a fit alone needs; states of before kept the loss's too
        own = module.state_dict()
        of_fits = (OF_CONFIG, SEEN)
        tensors = {k: v for k, v in tensors.items() if k in own or not k.startswith(of_fits)}

    if callable(begin := getattr(module, "begin_from", None)):
        begin(tensors)

    check_tensors(module, tensors, origin, kind)
    module.load_state_dict(tensors)


def check_tensors(
    module: nn.Module, tensors: dict[str, torch.Tensor], origin: str, kind: str = "model"
) -> None:
    """Compare a module's tensors with those to be loaded, by name, shape and kind; raises as
    `load_into`.
    """
    own = module.state_dict()
    trained = {name for name, _ in module.named_parameters(remove_duplicate=False)}

    for name, tensor in own.items():
        if name not in tensors:
            raise StateError(
                f"{origin} has no tensor '{name}', which this {kind} has: is it another {kind}?"
            )

        if is_lazy(tensor):  # takes the shape that it is given
            continue
        if tensors[name].shape != tensor.shape:
            raise StateError(
                f"{origin}: tensor '{name}' is {list(tensors[name].shape)}, this {kind}'s is "
                f"{list(tensor.shape)}: use the {kind} that the state was made with"
            )

        if _sort_of(tensors[name]) != _sort_of(tensor):
            raise StateError(
                f"{origin}: tensor '{name}' is {tensors[name].dtype}, this {kind}'s is "
                f"{tensor.dtype}"
            )

        if name in trained and not bool(torch.isfinite(tensors[name]).all()):
            raise StateError(
                f"{origin}: tensor '{name}' holds NaN or infinity: go back to an older version"
            )

    left = sorted(tensors.keys() - own.keys())
    if left:
        raise StateError(
            f"{origin} has a tensor '{left[0]}', which this {kind} lacks: is it another {kind}?"
        )


def _sort_of(tensor: torch.Tensor) -> str:
    """Whether a tensor holds real numbers, of whatever precision, or what else."""
    if tensor.is_floating_point():
        return "float"
    return str(tensor.dtype)
