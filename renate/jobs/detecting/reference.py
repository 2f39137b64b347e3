"""The reference that a version keeps: some of the examples that it was last trained on.

That new data differ from everything that was ever trained on, a world that has changed for good
always shows; an update can't end it. So the reference is that of the version's own update, unless
`shift.of` says otherwise.

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
from renate.data.model_inputs import TASK
from renate.errors import ConfigError, StateError, nearest
from renate.jobs.context import Job
from renate.jobs.saved.restore import Saved, number_after
from renate.seeds import derive

NAME = "reference"
FILE = f"{NAME}.safetensors"
SEEN = "#seen"  # how many examples it was drawn from
HELD_OUT = "#held_out"  # whether none of them was trained on
MOST = 2**53
LAST_UPDATE = "last_update"
ALL_UPDATES = "all_updates"


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


@dataclass(frozen=True)
class Keeping:
    """The group `shift`, checked.

    Attributes:
        keep: Most examples of a reference.
        of: `last_update`, or `all_updates`.
        fill: Where the last update has fewer, earlier ones' examples fill up to so many.
    """

    keep: int
    of: str
    fill: int

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> "Keeping":
        """Read it.

        Raises:
            ConfigError: What can't be.
        """
        keep = settings["keep"]
        of = settings["of"]
        fill = settings["fill"]
        if type(keep) is not int or keep < 1:
            raise ConfigError(f"shift.keep={keep}: expected a whole number, 1 or more")
        if of not in (LAST_UPDATE, ALL_UPDATES):
            known = (LAST_UPDATE, ALL_UPDATES)
            raise ConfigError(
                f"shift.of={of}: expected {' or '.join(known)}{nearest(str(of), known)}"
            )
        if type(fill) is not int or fill < 0:
            raise ConfigError(f"shift.fill={fill}: expected a whole number, 0 or more")
        return cls(keep, of, min(fill, keep))


def reference_files(
    job: Job, saved: Saved | None, train: Columns, val: Columns | None
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the next version's reference: examples of this update, or a fair share of each one's.
    Without `shift.keep` it stays what it was. All of several processes must call this.

    Raises:
        ConfigError: The group `shift` says what can't be.
    """
    settings: Mapping[str, Any] = job.config.get("shift") or {}
    has = saved is not None and FILE in saved.manifest.files
    if "keep" not in settings:
        if has:
            yield FILE, None
        return

    keeping = Keeping.read(settings)
    new = of_examples(train if val is None else val)
    seed = derive(job.config["seed"], "reference", number_after(saved))
    found = Reference(drawn(new, keeping.keep, seed), length(new), val is not None)
    if saved is not None and has:
        earlier = reference_of(saved, train)
        if keeping.of == ALL_UPDATES:
            found = _of_all(earlier, new, found.is_held_out, keeping.keep, seed)
        else:
            found = _filled(earlier, found, keeping.fill, seed)

    told = {SEEN: torch.tensor([found.seen]), HELD_OUT: torch.tensor([found.is_held_out])}
    yield FILE, save(to_tensors(found.columns) | told)


def _filled(earlier: Reference, own: Reference, fill: int, seed: int) -> Reference:
    """An update's examples, and of earlier ones as many as are missing."""
    missing = fill - length(own.columns)
    if missing <= 0:
        return own

    old = drawn(earlier.columns, missing, seed)
    return Reference(
        extended(old, own.columns),
        own.seen + length(old),
        own.is_held_out and earlier.is_held_out,
    )


def _of_all(earlier: Reference, new: Columns, is_held_out: bool, keep: int, seed: int) -> Reference:
    """Of the parent's and of this update's examples as many as their numbers ask for, so that it is
    smaller than `keep` where the parent kept fewer.
    """
    before = earlier.columns
    count = earlier.seen
    seen = length(new)
    share = round(keep * count / (count + seen))
    old = drawn(before, min(share, keep - 1), seed) if share else None
    room = keep - (length(old) if old else 0)
    if length(before) < min(share, count):  # the parent's stand for more than they are
        room = max(1, round(length(before) * seen / count))

    kept = drawn(new, room, seed)
    if old:
        kept = extended(old, kept)
    return Reference(kept, seen + count, is_held_out and earlier.is_held_out)


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
    examples = of_examples(like)
    if TASK not in tensors:  # of an earlier release
        examples.pop(TASK, None)
    columns = from_tensors(tensors, examples, f"{where}: '{FILE}'")
    count = int(seen.reshape(-1)[0]) if seen.numel() else 0
    if not length(columns) <= count <= MOST:
        raise StateError(f"{where}: '{FILE}' stands for {count} examples: did renate write it?")
    return Reference(columns, count, bool(held_out.all()) and held_out.numel() > 0)
