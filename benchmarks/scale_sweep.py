"""A sweep on a simulated clock, up to 1,000 workers and 100,000 trials: recorded learning curves
stand for training, so that what is measured is the sweeper alone.
"""

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from curves import SPACE, Curves, Replay, parts
from exponents import exponent, in_child, resident, up_to
from machine import write

from renate.tuning.limits import Limits
from renate.tuning.sweep import Sweep
from renate.tuning.trial import End, Report

TASK = "digits"
WORKERS = 1000
TRIALS = (1_000, 3_000, 10_000, 100_000)
MOST = 100_000  # trials, of the default and of what it is compared with
OTHERS = 10_000  # of the others
SEVERAL = (300, 1_000, 3_000)  # trials of two objectives
CROWDS = (10, 100, 1_000)  # workers
CROWDED = 3_000  # trials that they share


class Case(NamedTuple):
    """A tuner of conf/tuner, how its events are taken, and how many objectives there are."""

    tuner: str
    order: str = "arrival"
    objectives: int = 1

    def __str__(self) -> str:
        said = self.tuner
        if self.order != "arrival":
            said += f", order={self.order}"
        if self.objectives > 1:
            said += f", {self.objectives} objectives"
        return said


class Cost(NamedTuple):
    """What a sweep took: events, CPU seconds, bytes, and the seconds that its log takes again."""

    events: int
    seconds: float
    memory: int
    again: float


class WithSeconds(Replay):
    """Tells of each trial its seconds as well, as a second objective."""

    def next(self, timeout: float | None) -> Report | End | None:
        event = super().next(timeout)
        if event is None:
            return None

        seconds = float(self.curves.seconds[self.of[event.trial]])
        return replace(event, secondary=(seconds,))


def swept(case: Case, trials: int, workers: int) -> Cost:
    """Run a sweep, and repeat its log as one that was killed at its end would."""
    curves = Curves.read(TASK)
    before = resident()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events.jsonl"
        began = time.process_time()
        done = made(case, curves, log, trials, workers)
        done.run()
        seconds = time.process_time() - began
        memory = resident() - before
        with log.open() as lines:
            events = sum(1 for _ in lines)

        began = time.process_time()
        again = made(case, curves, log, trials, workers)
        again.run()
        repeated = time.process_time() - began

    assert len(done.trials) == len(again.trials) == trials
    assert again.best is not None
    assert done.best is not None
    assert again.best.id == done.best.id, "repeating the log gives another winner"
    return Cost(events, seconds, memory, repeated)


def made(case: Case, curves: Curves, log: Path, trials: int, workers: int) -> Sweep:
    kind = Replay
    secondary: Sequence[str] = ()
    if case.objectives > 1:
        kind = WithSeconds
        secondary = ["min"]

    backend = kind(curves, 0, math.inf, slots=workers)
    proposer, stopper = parts(case.tuner)
    proposer.bind(SPACE, first=(), seed=0, steps=curves.epochs, slots=workers)
    stopper.bind(steps=curves.epochs, seed=0, enqueued=0, warm=curves.warm)
    return Sweep(
        proposer,
        stopper,
        backend,
        mode="max",
        order=case.order,
        limits=Limits(trials, None, None, None, None, None, 0.0),
        log=log,
        secondary=secondary,
    )


def lines(case: Case, sizes: Sequence[int], costs: Sequence[Cost], what: str) -> list[str]:
    found = []
    for size, cost in zip(sizes, costs, strict=True):
        found.append(
            f"| {case} | {size:,} {what} | {cost.events:,} "
            f"| {1e3 * cost.seconds / cost.events:.4f} | {1e3 * cost.again / cost.events:.4f} "
            f"| {cost.memory / 2**20:.0f} MB | |"
        )

    events = [cost.events for cost in costs]
    if what == "trials":
        whole = exponent(events, [cost.seconds for cost in costs])
        again = exponent(events, [cost.again for cost in costs])
        grown = exponent(events, [float(cost.memory) for cost in costs])
        found[-1] = found[-1][:-3] + f"| {whole:.2f}, {again:.2f}, {grown:.2f} |"
    else:
        each = exponent(sizes, [cost.seconds / cost.events for cost in costs])
        found[-1] = found[-1][:-3] + f"| {each:.2f} of workers |"

    print("\n".join(found), flush=True)

    return found


def main(largest: int | None = None) -> None:
    """Measure sweeps of so many trials at most."""
    table = [
        "| tuner | size | events | CPU ms per event | repeated from the log | memory "
        "| exponents: whole sweep, repeat, memory, by events |",
        "| --- |" + " --- |" * 6,
    ]
    one = {
        Case("evolution"): MOST,
        Case("asha"): MOST,
        Case("evolution", order="fixed"): OTHERS,
        Case("median"): OTHERS,
        Case("hyperband"): OTHERS,
        Case("random"): OTHERS,
    }
    for case, most in one.items():
        sizes = up_to(up_to(TRIALS, most), largest)
        costs = [in_child(swept, case, trials, WORKERS) for trials in sizes]
        table += lines(case, sizes, costs, "trials")

    case = Case("evolution", objectives=2)
    table += lines(case, SEVERAL, [in_child(swept, case, n, 100) for n in SEVERAL], "trials")

    for case in (Case("asha"), Case("asha", order="fixed")):
        costs = [in_child(swept, case, CROWDED, workers) for workers in CROWDS]
        table += lines(case, CROWDS, costs, "workers")

    write(
        "scale_sweep",
        "A sweep against its size",
        f"curves recorded of {TASK} (27 epochs) on a simulated clock, {WORKERS:,} workers (100 "
        "with two objectives); an event is a question, a report or an end; memory is what the "
        "process grew by, the simulated backend's share in it. The last rows: 3,000 trials.",
        table,
        script="scale",
    )


if __name__ == "__main__":
    main()
