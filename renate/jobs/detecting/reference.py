"""The reference that a version keeps: some of the examples that its updates were given.

They are validation examples where there are any: a model is surer of what it was trained on, so
that its answers to training examples differ from those to new ones without any drift.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save

from renate.data.batch import Columns, length
from renate.data.items.stored import drawn, extended, from_tensors, of_examples, to_tensors
from renate.errors import ConfigError, StateError
from renate.jobs.context import Job
from renate.jobs.saved.restore import Saved
from renate.seeds import derive

NAME = "reference"
FILE = f"{NAME}.safetensors"
SEEN = "#seen"  # how many examples it was drawn from
HELD_OUT = "#held_out"  # whether none of them was trained on
MOST = 2**53


def reference_files(
    job: Job, saved: Saved | None, train: Columns, val: Columns | None
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the next version's reference: of the parent's and of this update's examples as many as
    their numbers ask for, so that it is smaller than `shift.keep` where the parent kept fewer.
    Without `shift.keep` it stays what it was. All of several processes must call this.
    """
    settings: Mapping[str, Any] = job.config.get("shift") or {}
    has = saved is not None and FILE in saved.manifest.files
    if "keep" not in settings:
        if has:
            yield FILE, None
        return

    keep = settings["keep"]
    if type(keep) is not int or keep < 1:
        raise ConfigError(f"shift.keep={keep}: expected a whole number, 1 or more")

    new = of_examples(train if val is None else val)
    held_out = val is not None
    seen = length(new)
    seed = derive(job.config["seed"], "reference", 1 if saved is None else saved.next)
    kept = drawn(new, keep, seed)
    if saved is not None and has:
        earlier = reference_of(saved, train)
        before = earlier.columns
        count = earlier.seen
        held_out = held_out and earlier.is_held_out
        share = round(keep * count / (count + seen))
        old = drawn(before, min(share, keep - 1), seed) if share else None
        room = keep - (length(old) if old else 0)
        if length(before) < min(share, count):  # the parent's stand for more than they are
            room = max(1, round(length(before) * seen / count))
        kept = drawn(new, room, seed)
        if old:
            kept = extended(old, kept)
        seen += count

    told = {SEEN: torch.tensor([seen]), HELD_OUT: torch.tensor([held_out])}
    yield FILE, save(to_tensors(kept) | told)


@dataclass(frozen=True)
class Reference:
    """What a version keeps.

    Attributes:
        columns: Inputs and targets.
        seen: How many examples they were drawn from.
        is_held_out: Whether none of them was trained on.
    """

    columns: Columns
    seen: int
    is_held_out: bool


def reference_of(saved: Saved, like: Columns) -> Reference:
    """Read a version's reference.

    Raises:
        StateError: It keeps none, or one that isn't like the data at hand.
    """
    where = f"version {saved.manifest.version} of {saved.state.url}"
    if FILE not in saved.manifest.files:
        raise StateError(
            f"{where} keeps no reference, so drift can't be told: give its next updates "
            "shift=reference"
        )

    tensors = saved.tensors(NAME)
    held_out = tensors.pop(HELD_OUT, torch.zeros(1, dtype=torch.bool))
    seen = tensors.pop(SEEN, torch.zeros(1, dtype=torch.int64))
    columns = from_tensors(tensors, of_examples(like), f"{where}: '{FILE}'")
    count = int(seen.reshape(-1)[0]) if seen.numel() else 0
    if not length(columns) <= count <= MOST:
        raise StateError(f"{where}: '{FILE}' stands for {count} examples: did renate write it?")
    return Reference(columns, count, bool(held_out.all()) and held_out.numel() > 0)
