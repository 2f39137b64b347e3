"""Removing old versions, and blobs that nothing names."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from renate.errors import StateError
from renate.state.aliases.log import named_versions, note_doomed, sweep
from renate.state.aliases.standing import standing
from renate.state.blobs import parallel
from renate.state.manifest import Manifest, Tombstone, now
from renate.state.versions import State, version_key

KILLED = 3600.0  # seconds; whoever moves an alias has done so, or was killed


@dataclass(frozen=True)
class Removed:
    """What gc removed: versions, blobs and their bytes, files of killed writers."""

    versions: list[int]
    blobs: int
    bytes: int
    leftovers: int


def gc(state: State, *, keep: int, grace: float) -> Removed:
    """Remove versions that are neither pinned, nor named by an alias, nor among the newest `keep`,
    then the blobs that nothing names.

    Args:
        keep: Versions to keep, at least 1.
        grace: Seconds; what is younger is left alone. Less than `publish.GRACE` only where no job
            is staging.

    Raises:
        StateError: A manifest or a pin can't be read; nothing was removed.
    """
    if keep < 1 or not grace >= 0:
        raise StateError(
            f"gc: keep={keep}, grace={grace}: expected keep of at least 1 and no negative grace"
        )

    # The order matters. Blobs first: what is uploaded later is not in the list. Pins before
    # manifests: a candidate that is published in between is seen as the one or as the other.
    before = time.time() - grace
    sweep(state, min(before, time.time() - KILLED))
    blobs = [entry for entry in state.store.list("blobs") if entry.modified < before]
    held = [*state.pinned().values(), *_in_use(state)]
    kept = {number for number in held if isinstance(number, int)}
    ages = {entry.key: entry.modified for entry in state.store.list("versions")}
    numbers = state.numbers()

    _check_complete(state, numbers)

    found = [entry for entry in parallel(state.find, numbers) if entry]
    there = {entry.base + 1: entry for entry in found if isinstance(entry, Manifest)}
    doomed = {
        number: there[number]
        for number in sorted(there)[:-keep]
        if number not in kept and ages.get(version_key(number), before) < before
    }
    held += _bury(state, doomed)

    published = {entry.writer for entry in found}
    named = [manifest for number, manifest in there.items() if number not in doomed]
    named += [c for c in held if isinstance(c, Manifest) and c.writer not in published]
    keys = {blob.key for manifest in named for blob in manifest.files.values()}
    orphans = [entry for entry in blobs if entry.key not in keys]
    state.store.delete([entry.key for entry in orphans])

    return Removed(
        versions=list(doomed),
        blobs=len(orphans),
        bytes=sum(entry.size for entry in orphans),
        leftovers=state.store.sweep(before),
    )


def _in_use(state: State) -> set[int]:
    """The versions that an alias names, or that a gate has told apart."""
    now = standing(state)
    told = [found.version for found in (now.current, now.candidate) if found is not None]
    return named_versions(state) | {version for version in told if version is not None}


def _check_complete(state: State, numbers: Sequence[int]) -> None:
    """Return if every version up to the newest has a manifest, or a tombstone.

    Raises:
        StateError: One hasn't: its blobs would be taken for orphans.
    """
    gaps = sorted(set(range(1, len(numbers) + 1)) - set(numbers))
    if gaps:
        raise StateError(
            f"{state.url}: the manifest of version {gaps[0]} is missing, so nothing is removed: "
            "its blobs would be taken for orphans; bring it back from a copy"
        )


def _bury(state: State, doomed: dict[int, Manifest]) -> list[int | Manifest]:
    """Put a tombstone in the place of each doomed version.

    What an alias was moved to in the meantime is spared; what was pinned comes back. Both leave
    `doomed`.

    Returns:
        What is pinned afterwards.
    """
    marks = note_doomed(state, doomed)
    try:
        return _buried(state, doomed)
    finally:
        state.store.delete(marks)


def _buried(state: State, doomed: dict[int, Manifest]) -> list[int | Manifest]:
    for number in named_versions(state) & doomed.keys():
        del doomed[number]

    for number, manifest in doomed.items():
        tombstone = Tombstone(number, manifest.sha256, manifest.writer, manifest.job, now())
        state.store.replace(version_key(number), tombstone.encode())

    held = list(state.pinned().values())
    kept = {number for number in held if isinstance(number, int)}
    for number in [number for number in doomed if number in kept]:
        state.store.replace(version_key(number), doomed.pop(number).encode())

    return held
