"""Eight publishers at once, readers and gc beside them: `python benchmarks/races.py --rounds 100`.

In each round eight processes stage on the same version and publish at the same moment. Exactly one
wins, the others are told who and keep their candidates; a reader verifies the newest version all
the while; gc removes old versions beside them, sparing what is younger than its grace, which is
longer than any publish here. Any exception ends the run.
"""

import argparse
import multiprocessing
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import write

from renate.errors import ConflictError, GoneError
from renate.state.gc import gc
from renate.state.publish import candidates, publish, stage
from renate.state.versions import State

PUBLISHERS = 8
GRACE = 4.0


def compete(url: str, name: str, rounds: int, barrier: Any, results: Any) -> None:
    state = State(url)
    for number in range(rounds):
        newest = state.newest()
        job = f"{name}-{number}"
        files = [("who", job.encode()), ("same", b"same" * 10_000), ("big", job.encode() * 5_000)]
        stage(state, iter(files), job=job, parent=(state, newest) if newest else None, lineage={})
        barrier.wait(120)
        try:
            results.put((number, job, publish(state, job).version))
        except ConflictError as error:
            results.put((number, job, str(error)))

        barrier.wait(120)


def read_on(url: str, stop: Any, results: Any) -> None:
    """Verify the newest version until told to stop; a version that gc has just removed is no
    half version.
    """
    state = State(url)
    looks = 0
    gone = 0

    while not stop.is_set():
        newest = state.newest()
        if newest is not None:
            try:
                assert bytes(state.read(state.verify(newest.version), "same")) == b"same" * 10_000
            except GoneError:
                gone += 1
            looks += 1

    results.put(("reader", looks, gone))


def collect_on(url: str, stop: Any, results: Any) -> None:
    state = State(url)
    runs = 0
    removed = 0
    while not stop.wait(0.2):
        removed += len(gc(state, keep=3, grace=GRACE).versions)
        runs += 1
    results.put(("gc", runs, removed))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["renate.state.gc", "renate.state.publish"])
    barrier = context.Barrier(PUBLISHERS)
    stop = context.Event()
    results = context.Queue()
    beside = context.Queue()
    began = time.monotonic()

    with TemporaryDirectory() as folder:
        url = str(Path(folder, "state"))
        publishers = [
            context.Process(target=compete, args=(url, f"p{i}", rounds, barrier, results))
            for i in range(PUBLISHERS)
        ]
        watchers = [
            context.Process(target=t, args=(url, stop, beside))
            for t in (read_on, read_on, collect_on)
        ]
        for process in [*publishers, *watchers]:
            process.start()

        found = [results.get(timeout=300) for _ in range(PUBLISHERS * rounds)]
        stop.set()
        looks: Counter[str] = Counter()
        for who, count, other in (beside.get(timeout=60) for _ in watchers):
            looks[who] += count
            looks[f"{who}, other"] += other

        for process in [*publishers, *watchers]:
            process.join()
            assert process.exitcode == 0

        state = State(url)
        judge(state, found, rounds)
        table = [
            "| rounds | winners a round | losers told, kept | reads | half versions | gc runs, "
            "versions removed |",
            "| --- | --- | --- | --- | --- | --- |",
            f"| {rounds} | 1 | {(PUBLISHERS - 1) * rounds} of {(PUBLISHERS - 1) * rounds} | "
            f"{looks['reader']} | 0 "
            f"| {looks['gc']}, {looks['gc, other']} |",
        ]

    text = (
        f"`--rounds {rounds}`, {PUBLISHERS} publishers, 2 readers and gc; "
        f"{time.monotonic() - began:.0f} seconds."
    )
    write("races", "Publishers at once", text, table)


def judge(state: State, found: list[tuple[int, str, Any]], rounds: int) -> None:
    kept = {candidate.job: candidate for candidate in candidates(state)}
    for number in range(rounds):
        mine = {job: outcome for at, job, outcome in found if at == number}
        winners = [job for job, outcome in mine.items() if isinstance(outcome, int)]
        assert len(winners) == 1, winners
        for job, outcome in mine.items():
            if job != winners[0]:
                assert f"was published by job '{winners[0]}'" in outcome
                assert bytes(state.read(state.check(kept[job]), "who")) == job.encode()

    for version in state.versions():
        state.verify(version)


if __name__ == "__main__":
    main()
