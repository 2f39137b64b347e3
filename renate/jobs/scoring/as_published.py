"""The version in use as it was published, where a command trains with another updater."""

from torch import nn

from renate.generators import generators, set_generators
from renate.jobs.builders import dtype_of
from renate.jobs.context import Job
from renate.jobs.saved.published import model_of, updater_of
from renate.jobs.saved.restore import Saved
from renate.updaters.base import Updater


def in_use(job: Job, saved: Saved, model: nn.Module, updater: Updater) -> tuple[nn.Module, Updater]:
    """Return the network and the way to predict of the version in use.

    An updater of another class has left behind what that version predicts by, or has changed the
    network when it was set up; then both are built anew, and no generator is moved by that. All of
    several processes must call it.

    Args:
        job: Says how the version's classes may be trusted.
        saved: The version.
        model: As the command has loaded it.
        updater: The command's.

    Raises:
        ConfigError: The version names a class that it may not: `trust` names its module.
        StateError: It can't be built again.
    """
    if _predicts_alike(job, saved, updater):
        return model, updater

    kept = generators()
    try:
        network = model_of(job, saved)
        own = updater_of(job, saved, network, saved.problem)
    finally:
        set_generators(kept)

    if (dtype := dtype_of(job.config["trainer"])) is not None:
        network.to(dtype)
        own.to(dtype)
    return network, own


def _predicts_alike(job: Job, saved: Saved, updater: Updater) -> bool:
    theirs = saved.deploy["updater"]
    ours = job.config["updater"]
    if theirs is not None:
        return bool(theirs == ours)
    if saved.writer == ours.get("_target_"):
        return True

    # Both predict as their networks do, and neither changes a network
    kind = type(updater)
    return kind.setup is Updater.setup and kind.predict is Updater.predict
