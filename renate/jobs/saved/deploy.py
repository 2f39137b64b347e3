"""A version -> what predicts by it."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from yaml import YAMLError

from renate.data.images.decode import FITS
from renate.data.kept.encoders import Encoder, restore
from renate.data.kept.inputs import Inputs
from renate.errors import StateError
from renate.jobs.building.heads import heads_of
from renate.jobs.building.network import OUTPUT
from renate.jobs.config_yaml import load as parse
from renate.jobs.predicting.feed import Feed
from renate.jobs.predicting.predictor import Predictor
from renate.jobs.saved.contract import contract_of
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
from renate.state.aliases.standing import manifest_of
from renate.state.manifest import Manifest
from renate.state.versions import State
from renate.updaters.base import Updater

LONGEST_FORMAT = 100  # characters of a format of dates


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
        version: A number, `latest`, or the name of an alias or a pin; None is the version in use,
            `current`.
        model: A network to load the weights into, where the state can't name its class
            (`renate.run(model=…)`, a config file's `model_fn`).
        trust: Modules of your own that the state's config may name besides renate's models and
            torch.nn.

    Raises:
        StateError: No such state or version, damaged bytes, or another architecture.
        ConfigError: The state's config names a class that it may not.
    """
    state = State(url)
    return predictor_of(state, manifest_of(state, version), model=model, trust=trust)


def predictor_of(
    state: State, manifest: Manifest, *, model: nn.Module | None, trust: Sequence[str]
) -> Predictor:
    """Load a version that is at hand; arguments and errors as of `load_model`."""
    url = state.url
    deploy = deploy_of(state, manifest)
    where = f"version {manifest.version} of {url}"
    model = _network(deploy["model"], tensors_of(state, manifest, "model"), where, model, trust)
    problem = problem_from(deploy, where, trust)
    updater: Updater | None = None
    if deploy["updater"]:
        updater = from_state(deploy["updater"], "updater", Updater, where, trust)
        updater.problem = problem
        updater.setup(model)
        load_into(updater, tensors_of(state, manifest, "updater"), where)

    transform = transform_from(deploy, "cpu", where, trust)
    assert manifest.version is not None

    feed = _feed_of(state, manifest, deploy, where, trust)
    problem.take_encoder(feed.encoder)
    # States keep booleans as 0 and 1; who gave them as labels is answered in them
    kind = feed.inputs.target_kind if feed.inputs is not None else None
    if kind == "boolean" and set(problem.labels) <= {0, 1}:
        problem.labels = [bool(label) for label in problem.labels]

    made = Predictor(model, updater, transform, problem, manifest.version, feed)
    made.contract = contract_of(state, manifest)
    made.heads = heads_of(deploy["model"])
    return made


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

    config = _data_of(state, manifest)
    resized = _resizing(config, manifest, inputs)
    return Feed(inputs, encoder, *resized, date_format=_date_format(config))


def _data_of(state: State, manifest: Manifest) -> dict[str, Any]:
    """The group `data` of a version's config; empty where it can't be told."""
    try:
        config: Any = parse(bytes(state.read(manifest, "config.yaml")).decode())
        data = config["data"]
    except (ValueError, KeyError, TypeError, YAMLError):
        return {}

    return dict(data) if isinstance(data, dict) else {}


def _date_format(data: dict[str, Any]) -> str | None:
    """How dates were written in texts; None where as ISO 8601 has them."""
    dialect = data.get("csv")
    written = dialect.get("date_format") if isinstance(dialect, dict) else None
    fits = isinstance(written, str) and len(written) <= LONGEST_FORMAT and "${" not in written
    return written if fits else None


def _resizing(
    data: dict[str, Any], manifest: Manifest, inputs: Inputs | None
) -> tuple[list[int] | None, str]:
    """The size that images were resized to, as the version's config says, and how; None where they
    were taken as they are.
    """
    if inputs is None or [column.kind for column in inputs.columns] != ["image"]:
        return None, FITS[0]
    if data.get("image_size") is None:
        return None, FITS[0]

    fit = data.get("image_fit", FITS[0])
    if fit not in FITS:
        raise StateError(f"{manifest}: data.image_fit={fit}: expected {', '.join(FITS)}")

    # A stranger may say whether to resize, and how; the size is that of the inputs
    return list(inputs.shape[1:]), fit
