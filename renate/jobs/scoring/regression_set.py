"""The frozen regression set: examples of earlier validation data, by which forgetting is told."""

from collections.abc import Iterator, Mapping
from typing import Any

from safetensors.torch import save

from renate.data.batch import Columns, length
from renate.data.items.stored import drawn, extended, from_tensors, of_examples, to_tensors
from renate.errors import ConfigError, StateError
from renate.jobs.saved.restore import Saved
from renate.problems.base import Problem

REGRESSION = "regression"  # the group's key, and the file's name
FILE = f"{REGRESSION}.safetensors"
SIZES = ("per_update", "size")


def settings_of(node: Any) -> dict[str, int]:
    """How much is kept, as the config says. Raises ConfigError."""
    fits = isinstance(node, Mapping) and set(node) == set(SIZES)
    if not fits or any(type(node[name]) is not int or node[name] < 0 for name in SIZES):
        raise ConfigError(
            f"gate.{REGRESSION}={node}: expected {' and '.join(SIZES)}, whole numbers of 0 or more"
        )
    return {name: int(node[name]) for name in SIZES}


def regression_of(saved: Saved | None, like: Columns, problem: Problem) -> Columns | None:
    """Read the set that a version keeps; None where it keeps none. All processes must call it.

    Args:
        saved: The version.
        like: Columns of the data at hand.
        problem: What is predicted.

    Raises:
        StateError: It isn't like the data, or holds what is no target.
    """
    if saved is None or FILE not in saved.manifest.files:
        return None

    where = f"version {saved.manifest.version} of {saved.state.url}: '{FILE}'"
    found = from_tensors(saved.tensors(REGRESSION), of_examples(like), where)
    if not length(found):
        return None
    targets = found["targets"]
    if problem.classes and bool(((targets < 0) | (targets >= problem.classes)).any()):
        raise StateError(f"{where}: a target is no class: use a state that renate wrote")
    return found


def carried_on(saved: Saved | None) -> Iterator[tuple[str, bytes | None]]:
    """Yield the regression set where no gate is asked: it stays what it is."""
    if saved is not None and FILE in saved.manifest.files:
        yield FILE, None


def regression_files(
    kept: Columns | None, val: Columns | None, settings: Mapping[str, int], seed: int
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the set of the next version: the parent's, and some validation examples of this
    update's. What is in there once stays as it is.

    Args:
        kept: The parent's set.
        val: This update's validation data.
        settings: Most examples of an update, and in all.
        seed: Of what is drawn.
    """
    rows = length(kept) if kept is not None else 0
    room = min(settings["per_update"], settings["size"] - rows)
    if val is None or room <= 0:
        if kept is not None:
            yield FILE, None
        return

    more = drawn(of_examples(val), room, seed)
    yield FILE, save(to_tensors(extended(kept, more) if kept is not None else more))
