"""Killed at random moments, and every store call failing once: `python benchmarks/faults.py --kills 1000`.

Kills: nine of ten hit a process that imported what it needs and then publishes, collects or rolls back on one local
state, its store slowed down so that kills land inside; one of ten hits a whole `renate` command. A killed process says
in which phase it was through shared memory. After each kill the state opens, every version verifies and holds exactly
what its publisher had written into a ledger beforehand, candidates are whole, and publishing goes on. At the end gc
leaves nothing that no version names, and no worker process lives.

Faults: each call that one update makes to the store (staging, publishing) fails once: before it acts (EIO, ENOSPC),
after it has acted (a lost acknowledgement), or half way (a short write). The version is then whole or absent, and the
candidate, if it was staged, can still be published.
"""

import argparse
import errno
import hashlib
import json
import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import write

from renate.errors import RenateError
from renate.state.gc import gc
from renate.state.manifest import Manifest
from renate.state.publish import candidates, publish, rollback, stage
from renate.state.store import Folder
from renate.state.versions import State

PHASES = [
    "before the first write",
    "writing blobs",
    "pinning the candidate",
    "committing",
    "after the commit",
    "gc",
    "rollback",
]
SLOW = 0.003  # seconds added to each call to the store


def follow(phase: Any, kind: str) -> None:
    """Slow the store of this process down, and note where it is."""
    fixed = {"gc": 5, "rollback": 6}.get(kind)
    phase.value = fixed if fixed is not None else 0

    def wrap(name: str, at: Callable[[str], int]) -> None:
        method = getattr(Folder, name)

        def call(self: Folder, key: Any, *rest: Any) -> Any:
            if fixed is None:
                phase.value = at(str(key))
            time.sleep(SLOW)
            done = method(self, key, *rest)
            time.sleep(SLOW)
            if fixed is None and name == "create":
                phase.value = 4
            return done

        setattr(Folder, name, call)

    wrap("put", lambda key: 1)
    wrap("replace", lambda key: 2)
    wrap("create", lambda key: 3)
    wrap("delete", lambda key: 4)


def operate(url: str, ledger: str, number: int, kind: str, phase: Any, ready: Any) -> None:
    """One publish, gc or rollback, in a process of its own."""
    follow(phase, kind)
    state = State(url)
    newest = state.newest()
    ready.set()
    if kind == "gc":
        gc(state, keep=2, grace=0)  # valid: nobody else is here
    elif kind == "rollback" and newest is not None:
        rollback(state, next(n for n in reversed(state.versions()) if n != newest.version))
    else:
        publish_one(state, newest, ledger, f"killed-{number}", number)


def publish_one(state: State, newest: Manifest | None, ledger: str, job: str, seed: int) -> Manifest:
    draw = random.Random(seed)
    files = [(f"f{n}", draw.randbytes(draw.choice([10, 1000, 100_000]))) for n in range(6)]
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files}
    Path(ledger, f"{job}.json").write_text(json.dumps(sums))
    stage(state, iter(files), job=job, parent=(state, newest) if newest else None, lineage={"job": job})
    return publish(state, job)


def check(state: State, ledger: str) -> None:
    """Every version is whole and is what its publisher meant."""
    for number in state.versions():
        manifest = state.verify(number)
        meant = json.loads(Path(ledger, f"{manifest.lineage['job']}.json").read_text())
        assert {name: blob.sha256 for name, blob in manifest.files.items()} == meant, number
    for candidate in candidates(state):
        state.check(candidate)


def kill_processes(kills: int, folder: Path) -> Counter[str]:
    context = multiprocessing.get_context("forkserver")  # obstore's threads don't survive a plain fork
    context.set_forkserver_preload(["renate.state.gc", "renate.state.publish"])
    hits: Counter[str] = Counter()
    draw, state, ledger = random.Random(1), State(str(folder / "state")), str(folder / "ledger")
    Path(ledger).mkdir()
    for number in range(3):
        publish_one(state, state.newest(), ledger, f"first-{number}", -number)
    for number in range(kills):
        kind = draw.choices(["publish", "gc", "rollback"], [70, 15, 15])[0]
        last = {n: state.manifest(n).sha256 for n in state.versions()[-2:]}
        phase, ready = context.Value("i", 0, lock=False), context.Event()
        process = context.Process(target=operate, args=(state.url, ledger, number, kind, phase, ready))
        process.start()
        assert ready.wait(60)
        time.sleep(draw.uniform(0, {"publish": 0.05, "gc": 0.045, "rollback": 0.09}[kind]))
        alive = process.is_alive()
        process.kill()
        process.join()
        hits[PHASES[phase.value] if alive else "after the end"] += 1
        process.close()
        check(state, ledger)
        for version, sha256 in last.items():
            assert state.manifest(version).sha256 == sha256, "a version that was there is lost"
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
    folder = Path(state.url)
    assert {f"blobs/{path.name}" for path in (folder / "blobs").iterdir()} == named
    assert not list((folder / "staging").iterdir())


def kill_commands(kills: int, folder: Path) -> Counter[str]:
    """Whole commands; their workers must end by themselves.

    Each fifth is given again afterwards, and must end in the model of a command that nobody disturbed, bit for bit.
    """
    hits: Counter[str] = Counter()
    draw = random.Random(2)
    quick = ["trainer.max_epochs=3", "model.hidden_sizes=[8]", "data.limit=300"]
    command = [sys.executable, "-m", "renate", *quick, "state.url=./state"]
    begun = time.monotonic()
    subprocess.run([*command, "state.first=true"], cwd=folder, check=True, capture_output=True)
    whole, state, number = time.monotonic() - begun, State(str(folder / "state")), 0
    while sum(hits.values()) < kills:
        number += 1
        again = [*command, f"seed={number}"]
        before, twin = state.versions(), folder / f"twin-{number}"
        if number % 5 == 0:
            shutil.copytree(folder / "state", twin / "state")
        process = subprocess.Popen(again, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.4, 1.0) * whole)
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 10
        while workers(folder):
            assert time.monotonic() < until, "a worker outlived its command"
            time.sleep(0.02)
        published = len(state.versions()) > len(before)
        if alive:
            hits["whole command, " + ("published" if published else "not published")] += 1
        for version in state.versions():
            state.verify(version)
        assert set(before) <= set(state.versions())
        if number % 5 == 0:
            subprocess.run(again, cwd=folder, check=True, capture_output=True)
            subprocess.run(again, cwd=twin, check=True, capture_output=True)
            assert len(state.versions()) == len(before) + 1
            assert predictions(folder / "state") == predictions(twin / "state")
    subprocess.run([*command, "seed=9999"], cwd=folder, check=True, capture_output=True)
    return hits


def predictions(url: Path) -> bytes:
    """What the newest model says of some images, to the last bit."""
    import torch  # lazy: the forked processes above must not carry it along

    import renate

    model = renate.load_model(str(url))
    images = torch.randint(256, (64, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.inference_mode():
        return bytes(model(images).numpy().tobytes())


def workers(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            if b"renate.jobs" in command and (entry / "cwd").resolve().is_relative_to(folder):
                found.append(entry.name)
        except OSError:
            continue
    return found


class InjectedError(OSError):
    """What a broken disk or connection raises."""


def inject(folder: Path) -> list[str]:
    """Let each call fail once in each way; return the rows of a table."""
    outcomes: dict[str, Counter[str]] = {}
    for how in ("EIO before", "ENOSPC before", "lost acknowledgement", "short write"):
        call = 0
        while True:
            state = State(str(folder / f"{how}-{call}".replace(" ", "-")))
            ledger = folder / f"ledger-{how}-{call}"
            ledger.mkdir()
            publish_one(state, None, str(ledger), "first", 1)
            made = fail_once(state, call, how)
            try:
                publish_one(state, state.newest(), str(ledger), "second", 2)
                outcome = "the update went through"
            except (RenateError, OSError):
                outcome = "the update failed, no version"
                if 2 in state.versions():
                    outcome = "the update failed, the version is whole"
            repair(state)
            if len(made) <= call:
                break
            check(state, str(ledger))
            if [c for c in candidates(state) if c.job == "second"] and 2 not in state.versions():
                publish(state, "second")
                outcome += ", the candidate was published"
            if 2 not in state.versions():
                publish_one(state, state.newest(), str(ledger), "second", 2)
                outcome += ", the next try succeeded"
            check(state, str(ledger))
            assert state.versions() == [1, 2]
            if how != "short write" or made[call] == "put":  # only a put writes bytes that can be cut
                outcomes.setdefault(f"{made[call]} | {how}", Counter())[outcome] += 1
            call += 1
    shown = {name: "; ".join(f"{n} × {o}" for o, n in found.items()) for name, found in outcomes.items()}
    return [f"| {name} | {text} |" for name, text in sorted(shown.items())]


def fail_once(state: State, index: int, how: str) -> list[str]:
    """Make the index-th call of this state's store fail; returns the list of calls, filled as they are made."""
    made: list[str] = []

    def wrap(name: str) -> None:
        method = getattr(type(state.store), name)

        def call(*args: Any) -> Any:
            made.append(name)
            if len(made) - 1 != index:
                return method(state.store, *args)
            if how == "lost acknowledgement":
                method(state.store, *args)
            if how == "short write" and name == "put":
                Path(state.url, args[0]).write_bytes(bytes(args[1])[: len(args[1]) // 2])
            raise InjectedError(errno.ENOSPC if how.startswith("ENOSPC") else errno.EIO, f"injected: {how}")

        setattr(state.store, name, call)

    for name in ("get", "list", "put", "create", "replace", "delete", "sync"):
        wrap(name)
    return made


def repair(state: State) -> None:
    for name in ("get", "list", "put", "create", "replace", "delete", "sync"):
        delattr(state.store, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        rows = inject(folder)
        commands = asked.kills // 10
        (folder / "commands").mkdir()
        hits = kill_processes(asked.kills - commands, folder) + kill_commands(commands, folder / "commands")
    table = ["| killed while | kills | broken or lost versions |", "| --- | --- | --- |"]
    table += [f"| {phase} | {count} | 0 |" for phase, count in sorted(hits.items())]
    total = sum(hits.values())
    table += [f"| in all | {total} | 0 (95 % upper bound of the rate: {3 / total:.2%}) |", ""]
    table += ["| call of an update to its store | fault | outcomes, one per place where it is called |"]
    table += ["| --- | --- | --- |"]
    text = f"`--kills {asked.kills}`; one broken or lost version, orphan worker or leftover would have ended it."
    write("faults", "Faults", text, [*table, *rows])


if __name__ == "__main__":
    main()
