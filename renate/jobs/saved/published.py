"""A version as it was published: its own network, test transform and way to predict, whatever a
command says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from renate.build import build, is_own, targets
from renate.data.batch import BatchTransform
from renate.errors import ConfigError, StateError
from renate.fitting.measure import Measure
from renate.jobs.builders import criterion_of, dtype_of, transform
from renate.jobs.building.network import OUTPUT, build_model
from renate.jobs.context import OURS, Job
from renate.jobs.saved.from_state import from_state, load_into, module_from_state, transform_from
from renate.jobs.saved.given import maker_of
from renate.jobs.saved.restore import Saved
from renate.memory.store.memory import Memory
from renate.problems.base import Problem
from renate.updaters.base import Updater

PLAIN = {"_target_": "renate.updaters.fine_tuning.FineTuning"}  # predicts as the network does
NO_MEMORY = {"_target_": "renate.memory.none.NoMemory"}
GROUPS = ("model", "transform", "updater")


def trusted(job: Job) -> tuple[str, ...]:
    """Whose classes a state may name in this job: those of `trust`, and the user's own that the
    command names too.
    """
    trust = list(job.config["trust"])
    groups = (*GROUPS, "problem")
    named = [
        target.rpartition(".")[0] for group in groups for _, target in targets(job.config[group])
    ]
    return (*trust, *(module for module in named if is_own(module, ())))


def model_of(job: Job, saved: Saved) -> nn.Module:
    """The version's network, loaded.

    Raises:
        StateError: It can't be built again, or holds other tensors.
        ConfigError: It names a class that it may not.
    """
    node = saved.deploy["model"]
    tensors = saved.tensors("model")
    where = _where(saved)

    made_by = maker_of(node["_target_"])
    is_given_again = maker_of(job.config["model"]["_target_"]) == made_by
    if made_by is None:
        model = module_from_state(node, "model", tensors, where, trusted(job))
    elif is_given_again:
        own = job.node("model") | {OUTPUT: node.get(OUTPUT)}
        model = build_model(own, job.config["trust"])
    else:
        raise StateError(f"{where} was made by {made_by}: give the model again")

    load_into(model, tensors, where)

    return model


def updater_of(job: Job, saved: Saved, model: nn.Module, problem: Problem) -> Updater:
    """The version's own way to predict, loaded; the network's where it has none."""
    node = saved.deploy["updater"]
    where = _where(saved)
    if node is None:
        node = PLAIN

    updater: Updater = from_state(node, "updater", Updater, where, trusted(job))
    updater.memory = Memory(build(NO_MEMORY, "memory"), None)
    updater.criterion = criterion_of(job, problem)
    updater.problem = problem
    updater.setup(model)
    if saved.deploy["updater"] is not None:
        load_into(updater, saved.tensors("updater"), where)

    return updater


def measure_as_published(job: Job, measure: Measure, saved: Saved) -> Measure:
    """The same metrics on the version's own test transform and labels; says so where this
    command's is another.
    """
    device = measure.transform.device
    if not _same_transform(job, saved) and job.ranks.first:
        text = (
            f"{_where(saved)} is measured with its own test transform, which isn't this command's"
        )
        job.emit({"event": "report", "text": text, "always": True})

    return replace(measure, transform=_transform(job, saved, device), outputs=saved.problem.outputs)


def _transform(job: Job, saved: Saved, device: Any) -> BatchTransform:
    if _same_transform(job, saved):  # as the command names it, it may be of the user's own modules
        return transform(job, "test", device)

    own = transform_from(saved.deploy, device, _where(saved), trusted(job))
    own.dtype = dtype_of(job.config["trainer"])
    return own


def check_command(job: Job, saved: Saved) -> None:
    """What the command line says of model, transform or updater must be what the version has.

    Raises:
        ConfigError: It says something else.
    """
    said = {_key(line) for line in job.record.overrides}
    for group in GROUPS:
        difference = _difference(job, saved, group)
        if difference is None:
            continue
        if any(key == group or key.startswith((f"{group}.", f"{group}@")) for key in said):
            raise ConfigError(
                f"{difference}: an evaluation measures {_where(saved)} as it was published; leave "
                f"{group} out"
            )

        if "experiment" in said:
            job.emit(
                {
                    "event": "report",
                    "text": f"{difference}: the version's own is measured",
                    "always": True,
                }
            )


def _key(line: str) -> str:
    return line.lstrip("+~").partition("=")[0]


def _difference(job: Job, saved: Saved, group: str) -> str | None:
    """In words, where this command's config and the version differ; None where they don't."""
    theirs = saved.deploy[group]
    ours = job.config[group]

    if group == "transform":
        if _same_transform(job, saved):
            return None
        return "transform: the command's test transform isn't the version's"

    if group == "updater":
        if theirs is None or theirs == ours:
            if theirs is None:
                return _own_predict(job)
            return None
        return (
            f"updater: the version predicts as {theirs['_target_']} with its settings, the command "
            "says otherwise"
        )

    made_by = maker_of(ours["_target_"])
    if made_by is not None and made_by == maker_of(theirs["_target_"]):
        return None

    for name, value in ours.items():
        ours_alone = name in (*OURS, "weights", "freeze")
        if not ours_alone and value is not None and _plain(value) != _plain(theirs.get(name)):
            return f"model.{name}={value}: the version has {theirs.get(name)}"

    return None


def _own_predict(job: Job) -> str | None:
    updater = job.build("updater")
    if type(updater).predict is Updater.predict:
        return None
    return (
        f"updater: the version predicts as its network does, {job.config['updater']['_target_']} "
        "doesn't"
    )


def _same_transform(job: Job, saved: Saved) -> bool:
    ours: Mapping[str, Any] = job.config["transform"]
    theirs = saved.deploy["transform"]
    return all(_named(ours[side]["test"]) == _named(theirs[side]) for side in ("inputs", "targets"))


def _named(nodes: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Transforms as they are compared: one of a config file is the command's, whose file it is."""
    return [node["_target_"] if maker_of(node["_target_"]) else _plain(node) for node in nodes]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value


def _where(saved: Saved) -> str:
    return f"version {saved.manifest.version} of {saved.state.url}"
