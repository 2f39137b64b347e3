"""What a network begins with: weights of another training, parts that stay as they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from torch import nn

from renate.data.fingerprint import open_file
from renate.data.model_inputs import ModelInputs
from renate.errors import ConfigError, DataError, nearest
from renate.jobs.building.network import bare, build_model, settings_in
from renate.jobs.checks.probe import materialise
from renate.jobs.context import Job
from renate.models.own.calling import names_not_taken
from renate.models.own.frozen import freeze
from renate.models.own.modes import enter_training
from renate.models.own.weights import load_weights


def begin(
    job: Job, node: Mapping[str, Any], model: nn.Module, inputs: ModelInputs, *, is_first: bool
) -> None:
    """Load `model.weights` at a first update; at any let the model enter training as it defines it,
    and freeze `model.freeze`.

    Args:
        job: Its config has both.
        node: The network's config with its sizes.
        model: Built, and loaded where a state is there. Changed in place.
        inputs: A few examples'.
        is_first: Whether no state is there, whose weights would count.

    Raises:
        ConfigError: The file is none, nothing of it fits, or there is no such part.
    """
    settings = settings_in(job.config["model"], job.config["trust"])
    file = settings.get("weights")
    if file is not None and is_first:
        job.say(load_weights(bare(model, node), str(file), _opened(str(file))))
    elif file is not None:
        job.say(f"model.weights={file}: the state's own weights are gone on with")

    still = enter_training(bare(model, node))
    if still:
        more = ""
        if len(still) > 1:
            more = f" and {len(still) - 1} more"
        job.say(f"model: in evaluation mode, as the model was made: '{still[0]}'{more}")

    freeze(bare(model, node), settings.get("freeze") or [])

    unused = names_not_taken(bare(model, node), inputs)
    if unused:
        job.say(f"model: forward has no argument for the inputs {', '.join(unused)}")


def made_anew(job: Job, node: Mapping[str, Any], inputs: ModelInputs) -> nn.Module:
    """Return the network as it was before any update, `model.weights` loaded."""
    model = materialise(build_model(node, job.config["trust"]), inputs)
    file = settings_in(job.config["model"], job.config["trust"]).get("weights")
    if file is not None:
        load_weights(bare(model, node), str(file), _opened(str(file)))
    return model


def _opened(file: str) -> BinaryIO:
    try:
        return open_file(file)
    except DataError as error:
        folder = Path(file).expanduser().parent
        there = [each.name for each in folder.iterdir()] if folder.is_dir() else []
        raise ConfigError(f"model.weights={error}{nearest(Path(file).name, there)}") from error
