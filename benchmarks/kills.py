"""Processes that are killed while they publish, collect, roll back or move an alias on one state,
local or in S3; see faults.py.
"""

import hashlib
import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from renate.state.aliases.move import move_alias
from renate.state.aliases.standing import names_of
from renate.state.gc import gc
from renate.state.manifest import Manifest
from renate.state.publish import candidates, publish, rollback, stage
from renate.state.store import Folder, Store
from renate.state.versions import State

PHASES = [
    "before the first write",
    "writing blobs",
    "pinning the candidate",
    "committing",
    "after the commit",
    "gc",
    "rollback",
    "moving an alias",
]
MIX = {"publish": 60, "gc": 12, "rollback": 12, "promote": 16}  # of the kills, in parts
ALIASES = ("current", "canary", "stable")
SLOW = 0.003  # seconds added to each call to the store
LASTS = {  # seconds that each kind takes: local, or on S3
    True: {"publish": 0.05, "gc": 0.045, "rollback": 0.09, "promote": 0.05},
    False: {"publish": 0.11, "gc": 0.11, "rollback": 0.16, "promote": 0.11},
}
SETTLED = 0.05  # seconds; a server may still be at the last request of a process that was killed


def follow(phase: Any, kind: str, store: type[Store]) -> None:
    """Slow the store of this process down, and note where it is."""
    fixed = {"gc": 5, "rollback": 6, "promote": 7}.get(kind)
    phase.value = fixed if fixed is not None else 0

    def wrap(name: str, at: Callable[[str], int]) -> None:
        method = getattr(store, name)

        def call(self: Store, key: Any, *rest: Any) -> Any:
            if fixed is None:
                phase.value = at(str(key))

            time.sleep(SLOW)
            done = method(self, key, *rest)
            time.sleep(SLOW)
            if fixed is None and name == "create":
                phase.value = 4

            return done

        setattr(store, name, call)

    wrap("put", lambda key: 1)
    wrap("replace", lambda key: 2)
    wrap("create", lambda key: 3)
    wrap("delete", lambda key: 4)


def operate(url: str, ledger: str, number: int, kind: str, phase: Any, ready: Any) -> None:
    """One publish, gc, rollback or move of an alias, in a process of its own."""
    state = State(url)
    follow(phase, kind, type(state.store))
    newest = state.newest()
    ready.set()

    if kind == "gc":
        gc(state, keep=2, grace=0)  # valid: nobody else is here
    elif kind == "rollback" and newest is not None:
        rollback(state, next(n for n in reversed(state.versions()) if n != newest.version))
    elif kind == "promote":
        move_alias(state, ALIASES[number % len(ALIASES)], target(state, number))
    else:
        publish_one(state, newest, ledger, f"killed-{number}", number)


def target(state: State, number: int) -> int:
    """The version that the number-th process moves an alias to."""
    versions = state.versions()
    return versions[number % len(versions)]


def publish_one(
    state: State, newest: Manifest | None, ledger: str, job: str, seed: int, *, large: int = 0
) -> Manifest:
    draw = random.Random(seed)
    files = [(f"f{n}", draw.randbytes(draw.choice([10, 1000, 100_000]))) for n in range(6)]
    if large:
        files.append(("large", draw.randbytes(16) + bytes(large)))

    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files}
    Path(ledger, f"{job}.json").write_text(json.dumps(sums))
    stage(
        state,
        iter(files),
        job=job,
        parent=(state, newest) if newest else None,
        lineage={"job": job},
    )

    return publish(state, job)


def check(state: State, ledger: str) -> None:
    """Every version is whole and is what its publisher meant, and no job was published twice."""
    versions = [state.verify(number) for number in state.versions()]
    assert len({manifest.job for manifest in versions}) == len(versions), (
        "a job was published twice"
    )
    for manifest in versions:
        meant = json.loads(Path(ledger, f"{manifest.lineage['job']}.json").read_text())
        assert {name: blob.sha256 for name, blob in manifest.files.items()} == meant, manifest

    for candidate in candidates(state):
        state.check(candidate)


def check_aliases(state: State, before: dict[str, int], moved: tuple[str, int] | None) -> None:
    """No alias is lost or points nowhere: each is where it was, or where it was moved to."""
    after = names_of(state)
    versions = state.versions()
    for name, version in before.items():
        allowed = {version, versions[-1]} if name == "current" else {version}
        if moved is not None and moved[0] == name:
            allowed.add(moved[1])
        if version not in versions:  # taken by gc, which only takes what no alias keeps
            raise AssertionError(f"{name} pointed to version {version}, which is gone")
        assert after.get(name) in allowed, (name, before, after, moved)
    assert set(after.values()) <= set(versions)


def kill_processes(
    kills: int, url: str, folder: Path, mix: dict[str, int] | None = None
) -> Counter[str]:
    """Kill one process after another.

    Args:
        kills: How many.
        url: Of a state.
        folder: Takes the ledger.
        mix: Of which kinds, in parts.
    """
    mix = mix or MIX
    # Obstore's threads don't survive a plain fork
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["renate.state.gc", "renate.state.publish"])
    hits: Counter[str] = Counter()
    draw = random.Random(1)
    state = State(url)
    ledger = str(folder / "ledger")
    Path(ledger).mkdir()
    for number in range(3):
        publish_one(state, state.newest(), ledger, f"first-{number}", -number)

    lasts = LASTS[isinstance(state.store, Folder)]
    for number in range(kills):
        kind = draw.choices([*mix], [*mix.values()])[0]
        names = names_of(state)
        moved = None
        if kind == "promote":
            moved = (ALIASES[number % len(ALIASES)], target(state, number))
        last = {n: state.manifest(n).sha256 for n in state.versions()[-2:]}
        phase = context.Value("i", 0, lock=False)
        ready = context.Event()
        process = context.Process(
            target=operate, args=(state.url, ledger, number, kind, phase, ready)
        )
        process.start()
        assert ready.wait(60)
        time.sleep(draw.uniform(0, lasts[kind]))
        alive = process.is_alive()
        process.kill()
        process.join()
        hits[PHASES[phase.value] if alive else "after the end"] += 1
        process.close()
        time.sleep(SETTLED * (not isinstance(state.store, Folder)))
        check(state, ledger)
        for version, sha256 in last.items():
            assert state.manifest(version).sha256 == sha256, "a version that was there is lost"
        check_aliases(state, names, moved)

        if number % 5 == 0:
            publish_one(state, state.newest(), ledger, f"next-{number}", 10**6 + number)
        if number % 20 == 19:
            gc(state, keep=3, grace=0)

    clean(state, ledger)

    return hits


def clean(state: State, ledger: str) -> None:
    """After gc nothing is left that no version and no candidate names."""
    gc(state, keep=2, grace=0)
    check(state, ledger)
    kept = [state.manifest(n) for n in state.versions()] + candidates(state)
    named = {blob.key for manifest in kept for blob in manifest.files.values()}
    assert {entry.key for entry in state.store.list("blobs")} == named
    assert not isinstance(state.store, Folder) or not list(Path(state.url, "staging").iterdir())


def killed(hits: Counter[str]) -> list[str]:
    table = ["| killed while | kills | broken or lost versions |", "| --- | --- | --- |"]
    table += [f"| {phase} | {count} | 0 |" for phase, count in sorted(hits.items())]
    total = sum(hits.values())
    return [*table, f"| in all | {total} | 0 (95 % upper bound of the rate: {3 / total:.2%}) |", ""]
