"""The regression set: examples of earlier validation data, by which forgetting is told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.data.items.stored import drawn, extended, from_tensors, of_examples, to_tensors
from renate.data.model_inputs import TASK
from renate.errors import ConfigError, StateError
from renate.jobs.saved.restore import Saved
from renate.problems.base import Problem

REGRESSION = "regression"  # the group's key, and the file's name
FILE = f"{REGRESSION}.safetensors"
SIZES = ("per_update", "size")
UPDATE = "#update"  # beside the columns: the version that each row came with


@dataclass(frozen=True)
class RegressionSet:
    """What a version keeps.

    Attributes:
        columns: Inputs and targets.
        updates: The version that each row came with, int64 [N].
    """

    columns: Columns
    updates: Tensor

    def extended(self, more: "RegressionSet") -> "RegressionSet":
        """Return the rows of both."""
        updates = torch.cat([self.updates, more.updates])
        return RegressionSet(extended(self.columns, more.columns), updates)

    def of_at_most(self, size: int, seed: int) -> "RegressionSet":
        """Return `size` rows, or all there are, in their order: of each update as many as of any
        other, as far as it has them.

        Args:
            size: How many.
            seed: Of which rows of an update these are, and of which updates have one more.
        """
        rows = len(self.updates)
        if rows <= size:
            return self

        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(rows, generator=generator)
        rank = torch.empty(rows, dtype=torch.int64)
        for number in torch.unique(self.updates):
            own = order[self.updates[order] == number]
            rank[own] = torch.arange(len(own))

        # The first of every update, then the second of every one, and so on
        by_rank = order[torch.argsort(rank[order], stable=True)]
        places = by_rank[:size].sort().values
        return RegressionSet(select(self.columns, places), self.updates[places])


def settings_of(node: Any) -> dict[str, int]:
    """How much is kept, as the config says. Raises ConfigError."""
    fits = isinstance(node, Mapping) and set(node) == set(SIZES)
    if not fits or any(type(node[name]) is not int or node[name] < 0 for name in SIZES):
        raise ConfigError(
            f"gate.{REGRESSION}={node}: expected {' and '.join(SIZES)}, whole numbers of 0 or more"
        )
    return {name: int(node[name]) for name in SIZES}


def regression_of(
    saved: Saved | None, like: Columns, problem: Problem, per_update: int
) -> RegressionSet | None:
    """Read the set that a version keeps; None where it keeps none. All processes must call it.

    Args:
        saved: The version.
        like: Columns of the data at hand.
        problem: What is predicted.
        per_update: So many rows, one after the other, count as those of one update where the set
            doesn't say, as sets of earlier releases don't.

    Raises:
        StateError: It isn't like the data, or holds what is no target.
    """
    if saved is None or FILE not in saved.manifest.files:
        return None

    where = f"version {saved.manifest.version} of {saved.state.url}: '{FILE}'"
    tensors = dict(saved.tensors(REGRESSION))
    updates = tensors.pop(UPDATE, None)
    examples = of_examples(like)
    if TASK in examples and TASK not in tensors:  # of an earlier release: no head can be asked
        return None

    found = from_tensors(tensors, examples, where)
    rows = length(found)
    if not rows:
        return None
    targets = found["targets"]
    if problem.classes and bool(((targets < 0) | (targets >= problem.classes)).any()):
        raise StateError(f"{where}: a target is no class: use a state that renate wrote")

    if updates is None:
        # Numbers below those of versions, since which ones these were isn't known
        updates = torch.arange(rows) // max(1, per_update) - rows
    if updates.dtype != torch.int64 or updates.shape != (rows,):
        raise StateError(f"{where}: '{UPDATE}' is no whole number for each of its {rows} rows")
    return RegressionSet(found, updates)


def carried_on(saved: Saved | None) -> Iterator[tuple[str, bytes | None]]:
    """Yield the regression set where no gate is asked: it stays what it is."""
    if saved is not None and FILE in saved.manifest.files:
        yield FILE, None


def regression_files(
    kept: RegressionSet | None,
    val: Columns | None,
    settings: Mapping[str, int],
    number: int,
    seed: int,
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the set of the next version: the parent's, and some validation examples of this
    update's. A set that is full makes room for them by a fair share of every update's, so that it
    stays about all of them.

    Args:
        kept: The parent's set.
        val: This update's validation data.
        settings: Most examples of an update, and in all.
        number: The next version's.
        seed: Of what is drawn.
    """
    count = min(settings["per_update"], settings["size"])
    if val is None or not count:
        if kept is not None:
            yield FILE, None
        return

    more = drawn(of_examples(val), count, seed)
    found = RegressionSet(more, torch.full((length(more),), number))
    if kept is not None:
        found = kept.extended(found)
    found = found.of_at_most(settings["size"], seed)
    yield FILE, save(to_tensors(found.columns) | {UPDATE: found.updates.clone()})
