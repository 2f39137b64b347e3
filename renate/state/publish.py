"""Writing a state: stage a candidate, publish it as the next version, roll back.

A crash leaves, while staging, blobs that no manifest names (gc removes them); once staged, a
complete candidate, kept by its pin; while publishing, the candidate or the version, never a part of
it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from renate.errors import ConflictError, GoneError, NoVersionError, StateError, nearest
from renate.state.blobs import parallel, put, put_all
from renate.state.manifest import (
    Blob,
    Manifest,
    Parent,
    Tombstone,
    decode,
    now,
    strict_json,
)
from renate.state.pins import job_key, remove
from renate.state.versions import JOB, State, version_key

GRACE = 24 * 3600.0  # seconds; gc spares what is younger, so staging must end within half of it
ATTEMPTS = 20

Files = Iterable[tuple[str, bytes | None]]
Source = tuple[State, Manifest]


def stage(
    state: State,
    files: Files,
    *,
    job: str,
    parent: Source | None,
    lineage: dict[str, Any],
    base: int | None = None,
) -> Manifest:
    """Upload a complete candidate and pin it as the job's; staging the same job again replaces it.

    Args:
        state: Where the next version goes.
        files: Name and bytes of every file, read once, a few at a time; None for the bytes of the
            parent's file of that name. What the parent holds at the same URL isn't uploaded again;
            from another URL it is copied, so that the new state is complete by itself.
        job: Names the candidate.
        parent: What the update started from, and where that is; None for a first update.
        lineage: Plain JSON.
        base: The newest version here that it knows of, where the parent is here and is an older
            one; None: the parent.

    Returns:
        The candidate. Its base is the parent's number, or `base`; 0 for a first update; where the
        parent is elsewhere, the number that is the newest here now.

    Raises:
        StateError: Nothing was staged: the store refused, or the time ran out.
        GoneError: gc removed the parent.
    """
    started = time.monotonic()
    key = job_key(job)
    strict_json(lineage)
    known, origin = _origin(state, parent, job, base)
    blobs = put_all(_placing(state, parent), files)
    state.store.sync("blobs")

    if time.monotonic() - started > GRACE / 2:
        hours = f"{GRACE / 7200:.0f} hours"
        raise StateError(
            f"{state.url}: staging took over {hours}, so gc may take its blobs; run the job again"
        )

    raw = Manifest(None, known, origin, uuid4().hex, now(), job, lineage, blobs).encode()
    state.store.replace(key, raw)
    if parent and _same(state, parent):
        try:
            # Then a gc that hasn't seen the pin in time takes nothing that we reuse
            _confirm(parent, job)
        except GoneError:
            state.store.delete([key])
            raise

    candidate = decode(raw, f"{state.url}: {key}")
    assert isinstance(candidate, Manifest)

    return candidate


def adopt(
    state: State,
    source: Source,
    files: Files,
    *,
    job: str,
    parent: Source | None,
    lineage: dict[str, Any],
    base: int | None = None,
) -> Manifest:
    """Stage here what was staged or published at another URL, with further files that replace its
    own; see `stage`.

    What equals the parent's file of the same name, byte for byte, is the parent's.
    """
    store, manifest = source
    old = _files_of(parent)
    more = dict(files)

    def every() -> Files:
        for name, blob in manifest.files.items():
            if name not in more:
                same = name in old and old[name].sha256 == blob.sha256
                yield name, None if same else bytes(store.read(manifest, name))
        yield from more.items()

    known = {**manifest.lineage, **lineage}
    return stage(state, every(), job=job, parent=parent, lineage=known, base=base)


def publish(state: State, job: str) -> Manifest:
    """Make a job's candidate the next version, by one create-if-absent; repeated, return the same
    version.

    Raises:
        ConflictError: Another version came in between; the candidate stays.
        StateError: The job has no candidate.
    """
    key = job_key(job)
    candidate = state.held(f"{JOB}{job}")
    if not isinstance(candidate, Manifest):
        return _published(state, job)

    number = candidate.base + 1
    raw = replace(candidate, version=number, created=now()).encode()
    for attempt in range(ATTEMPTS):
        try:
            state.store.create(version_key(number), raw)
        except FileExistsError:
            winner = state.find(number)
            if winner is None:  # S3 says so too while another attempt, which may fail, is under way
                time.sleep(0.05 * attempt)
                continue
            if winner.writer != candidate.writer:  # else an earlier try of ours got through
                raise _conflict(state, job, winner) from None
            # That try may have failed after the name was there, before it was durable
            state.store.sync("versions")

        # A pin that stays, after a crash too, is one that gc sees through
        with suppress(StateError):
            state.store.delete([key])
        return state.manifest(number)

    raise StateError(
        f"{state.url}: can't create version {number} though there is none; publish '{job}' later"
    )


def rollback(state: State, to: int) -> Manifest:
    """Publish the content of an old version as a new one.

    Raises:
        NoVersionError, GoneError, CorruptError: There is nothing to go back to.
        ConflictError: Another version came in between; nothing was changed.
    """
    target = state.manifest(to)
    newest = state.manifest()

    if target.version == newest.version:
        raise StateError(
            f"{state.url}: version {to} is the newest already; roll back to an older one"
        )

    files = (
        (name, None if newest.files.get(name) == blob else bytes(state.read(target, name)))
        for name, blob in target.files.items()
    )
    job = f"rollback-{to}-{uuid4().hex[:8]}"
    # What a gate said of it then isn't asked again: whoever goes back has decided
    lineage = {key: value for key, value in target.lineage.items() if key != "gate"}
    stage(state, files, job=job, parent=(state, newest), lineage={**lineage, "rollback_to": to})

    try:
        return publish(state, job)
    except ConflictError as error:
        drop(state, job)
        what = str(error).split(";")[0]
        raise ConflictError(
            f"{what}; nothing was rolled back: look at it, then roll back again"
        ) from None


def candidates(state: State) -> list[Manifest]:
    """Every candidate that isn't published yet, oldest first; a crash may leave the pin of one
    that is.
    """
    found = [held for held in state.pinned().values() if isinstance(held, Manifest)]
    rivals = parallel(lambda candidate: state.find(candidate.base + 1), found)
    waiting = [
        held
        for held, rival in zip(found, rivals, strict=True)
        if not rival or rival.writer != held.writer
    ]
    return sorted(waiting, key=lambda candidate: (candidate.created, candidate.job))


def drop(state: State, job: str) -> None:
    """Give a candidate up; gc takes its blobs."""
    remove(state, f"{JOB}{job}", job, [c.job or "" for c in candidates(state)], "candidate of job")


def _origin(
    state: State, parent: Source | None, job: str, base: int | None
) -> tuple[int, Parent | None]:
    """Return the base and the parent of a candidate, after a look whether the parent is still
    there.
    """
    if parent is None:
        return 0, None

    _confirm(parent, job)  # it was read before the training, hours ago
    source, manifest = parent
    number = manifest.base + 1
    if _same(state, parent):
        return max(number, base or 0), Parent(None, number, manifest.sha256)

    return (state.numbers() or [0])[-1], Parent(source.url, number, manifest.sha256)


def _files_of(parent: Source | None) -> Mapping[str, Blob]:
    """What a parent holds; nothing where there is none."""
    if parent is None:
        return {}
    return parent[1].files


def _placing(state: State, parent: Source | None) -> Callable[[str, bytes | None], Blob]:
    here = parent is not None and _same(state, parent)
    old = _files_of(parent)
    # Only what a live manifest names may be reused: gc may be about to delete an orphan with the
    # same bytes.
    known = {}
    if here:
        known = {blob.sha256: blob for blob in old.values()}

    def place(name: str, data: bytes | None) -> Blob:
        if data is not None:
            return put(state.store, data, known)
        if parent is None or name not in old:
            raise StateError(
                f"{state.url}: file '{name}' is to be the parent's, which has none: give its bytes"
            )
        if here:
            return old[name]
        return put(state.store, parent[0].read(parent[1], name), known)

    return place


def _same(state: State, parent: Source) -> bool:
    return parent[0].url == state.url


def _confirm(parent: Source, job: str) -> None:
    state, manifest = parent
    try:
        found = state.manifest(manifest.version)
    except (GoneError, NoVersionError) as error:
        raise GoneError(f"{error}; job '{job}' started from it: run the update again") from None

    if found.sha256 != manifest.sha256:
        what = f"{manifest} isn't the one that job '{job}' started from"
        raise StateError(f"{state.url}: {what}: run the update again")


def _published(state: State, job: str) -> Manifest:
    for number in reversed(state.numbers()):
        found = state.find(number)
        if found and found.job == job:
            return state.manifest(number)
    names = [c.job or "" for c in candidates(state)]
    there = f"there is {', '.join(names) or 'none'}{nearest(job, names)}"
    raise StateError(f"{state.url}: no candidate of job '{job}', {there}")


def _conflict(state: State, job: str, winner: Manifest | Tombstone) -> ConflictError:
    return ConflictError(
        f"{state.url}: version {winner.version} was published by job '{winner.job}' meanwhile; "
        f"the candidate of job '{job}' stays: update again from version {state.numbers()[-1]}"
    )
