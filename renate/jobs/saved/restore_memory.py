"""The memory of a version, and what an updater computes for it."""

import torch
from torch import nn

from renate.data.batch import BatchTransform, Columns, length, select
from renate.errors import CorruptError
from renate.jobs.builders import transform
from renate.jobs.context import Job
from renate.jobs.saved.restore import Saved
from renate.memory.store.memory import Memory
from renate.models.own.untouched import untouched
from renate.problems.base import Problem
from renate.updaters.base import Updater


def load_memory(
    job: Job, memory: Memory, model: nn.Module, updater: Updater, saved: Saved, problem: Problem
) -> None:
    """Load the memory's examples; with `memory.backfill` the updater computes the fields that they
    lack.

    Targets of several labels are widened by those that are new, which past examples weren't given.

    Raises:
        StateError: They lack a field that the updater needs.
    """
    if "memory/meta.json" in saved.manifest.files:
        try:
            memory.load(lambda name: saved.state.read(saved.manifest, name))
        except CorruptError as error:
            raise CorruptError(
                f"version {saved.manifest.version} of {saved.state.url}: {error}"
            ) from error

        _check_targets(memory, saved.problem)
        if (
            len(memory)
            and memory.columns()["targets"].ndim > 1
            and problem.outputs > saved.problem.outputs
        ):
            memory.widen("targets", problem.outputs, 0.0)

    kept = memory.columns()
    if (
        job.config["memory"].get("backfill")
        and len(memory)
        and any(name not in kept for name in updater.fields)
    ):
        for name, values in backfilled(updater, model, kept, transform(job, "test", "cpu")).items():
            if name not in kept:
                memory.fill(name, values)

    memory.require(updater.fields)
    for name in updater.fields:  # states of before kept them in the precision of the fit
        found = memory.columns().get(name)
        if found is not None and found.is_floating_point() and found.dtype != torch.float32:
            memory.fill(name, found.float())


def drop_fields(job: Job, updater: Updater, saved: Saved, columns: Columns) -> None:
    """Let go what another updater kept of each example and this one doesn't keep, which is said:
    the examples that it adds would have none. One that adds none leaves all as it is.

    Args:
        job: The job.
        updater: Its memory is loaded.
        saved: The version.
        columns: The new data's.
    """
    if not updater.replays:
        return

    wrote = saved.writer
    if wrote in (None, job.config["updater"].get("_target_")):
        return

    memory = updater.memory
    for name in sorted(memory.store.names - columns.keys() - set(updater.fields)):
        memory.drop(name)
        job.say(
            f"the state's updater was {wrote}: the '{name}' of the examples in its memory are left "
            f"behind, {type(updater).__name__} keeps none"
        )


def _check_targets(memory: Memory, problem: Problem) -> None:
    """A target is the index of a label, or has a number for each output.

    Raises:
        CorruptError: One isn't.
    """
    targets = None
    if len(memory):
        targets = memory.columns().get("targets")

    classes = problem.classes

    if targets is not None and not classes and tuple(targets.shape[1:]) != problem.target_shape:
        raise CorruptError(
            f"the memory holds targets of shape {list(targets.shape[1:])}, the state's are "
            f"{list(problem.target_shape)}: bring it back from a copy"
        )

    if (
        targets is None
        or targets.is_floating_point()
        or targets.ndim != 1
        or targets.dtype == torch.bool
    ):
        return

    least = int(targets.min())
    most = int(targets.max())
    if least < 0 or most >= classes:
        raise CorruptError(
            f"the memory holds targets from {least} to {most}, the state knows {classes} labels: "
            "bring it back from a copy"
        )


def backfilled(
    updater: Updater, model: nn.Module, columns: Columns, test: BatchTransform
) -> dict[str, torch.Tensor]:
    """Name -> [N, ...] of what an updater computes for raw columns [N, ...]."""
    parts: dict[str, list[torch.Tensor]] = {}
    with untouched(model, updater):
        for index in torch.split(torch.arange(length(columns)), 1000):
            batch = test(select(columns, index))
            for name, values in updater.backfill(model, batch).items():
                parts.setdefault(name, []).append(values)

    return {name: torch.cat(values) for name, values in parts.items()}
