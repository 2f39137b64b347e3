"""Killed at random moments, and every store call failing once: `python benchmarks/faults.py --kills
1000`.

Kills: nine of ten hit a process that imported what it needs and then publishes, collects or rolls
back on one local state, its store slowed down so that kills land inside; one of ten hits a whole
`renate` command. A killed process says in which phase it was through shared memory. After each kill
the state opens, every version verifies and holds exactly what its publisher had written into a
ledger beforehand, candidates are whole, and publishing goes on. At the end gc leaves nothing that
no version names, and no worker process lives.

Faults: each call that one update makes to the store (staging, publishing) fails once: before it
acts (EIO, ENOSPC), after it has acted (a lost acknowledgement), or half way (a short write). The
version is then whole or absent, and the candidate, if it was staged, can still be published.

`--store s3 --kills 200` does the same with the state in an S3 on this machine: no whole commands
are killed, and instead of calls that fail, every request of an update meets each fault that a proxy
can make.
"""

import argparse
import errno
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from faults_s3 import inject as inject_s3
from kills import check, kill_processes, killed, publish_one
from loopback import loopback
from machine import write

from renate.errors import RenateError
from renate.state.publish import candidates, publish
from renate.state.versions import State


def kill_commands(kills: int, folder: Path) -> Counter[str]:
    """Whole commands; their workers must end by themselves.

    Each fifth is given again afterwards, and must end in the model of a command that nobody
    disturbed, bit for bit.
    """
    hits: Counter[str] = Counter()
    draw = random.Random(2)
    quick = ["trainer.max_epochs=3", "model.hidden_sizes=[8]", "data.limit=300"]
    command = [sys.executable, "-m", "renate", *quick, "state.url=./state"]
    begun = time.monotonic()
    subprocess.run([*command, "state.first=true"], cwd=folder, check=True, capture_output=True)
    whole = time.monotonic() - begun
    state = State(str(folder / "state"))
    number = 0

    while sum(hits.values()) < kills:
        number += 1
        again = [*command, f"seed={number}"]
        before = state.versions()
        twin = folder / f"twin-{number}"
        if number % 5 == 0:
            shutil.copytree(folder / "state", twin / "state")

        process = subprocess.Popen(
            again, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
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
    images = torch.randint(
        256, (64, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
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
            # Only a put writes bytes that can be cut
            if how != "short write" or made[call] == "put":
                outcomes.setdefault(f"{made[call]} | {how}", Counter())[outcome] += 1

            call += 1

    shown = {
        name: "; ".join(f"{n} × {o}" for o, n in found.items()) for name, found in outcomes.items()
    }
    return [f"| {name} | {text} |" for name, text in sorted(shown.items())]


def fail_once(state: State, index: int, how: str) -> list[str]:
    """Make the index-th call of this state's store fail; returns the list of calls, filled as
    they are made.
    """
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

            raise InjectedError(
                errno.ENOSPC if how.startswith("ENOSPC") else errno.EIO, f"injected: {how}"
            )

        setattr(state.store, name, call)

    for name in ("get", "list", "put", "create", "replace", "delete", "sync"):
        wrap(name)

    return made


def repair(state: State) -> None:
    for name in ("get", "list", "put", "create", "replace", "delete", "sync"):
        delattr(state.store, name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--store", choices=("local", "s3"), default="local")
    parser.add_argument("--aliases", action="store_true", help="only moves of aliases are killed")
    asked = parser.parse_args()

    with tempfile.TemporaryDirectory() as where:
        if asked.aliases:
            of_aliases(asked.kills, Path(where))
        elif asked.store == "s3":
            on_s3(asked.kills, Path(where))
        else:
            on_disk(asked.kills, Path(where))


def on_disk(kills: int, folder: Path) -> None:
    rows = inject(folder)
    commands = kills // 10
    (folder / "commands").mkdir()
    hits = kill_processes(kills - commands, str(folder / "state"), folder)
    hits += kill_commands(commands, folder / "commands")
    text = (
        f"`--kills {kills}`; one broken or lost version, orphan worker or leftover would have "
        "ended it."
    )
    head = [
        "| call of an update to its store | fault | outcomes, one per place where it is called |"
    ]
    write("faults", "Faults", text, [*killed(hits), *head, "| --- | --- | --- |", *rows])


def of_aliases(kills: int, folder: Path) -> None:
    hits = kill_processes(kills, str(folder / "state"), folder, {"promote": 9, "publish": 1})
    text = (
        f"`--aliases --kills {kills}`; one alias that was lost, or pointed nowhere, would have "
        "ended it."
    )
    write("faults_aliases", "Kills while an alias is moved", text, killed(hits), "faults")


def on_s3(kills: int, folder: Path) -> None:
    with loopback() as services:
        rows = inject_s3(services, folder)
        services.order()
        hits = kill_processes(kills, f"{services.bucket}/state", folder)
    text = (
        f"`--store s3 --kills {kills}`; one broken, lost or double version or leftover would have "
        "ended it."
    )
    head = ["| fault of one request | requests of an update | outcomes |", "| --- | --- | --- |"]
    write("faults_s3", "Faults on S3", text, [*killed(hits), *head, *rows], "faults")


if __name__ == "__main__":
    main()
