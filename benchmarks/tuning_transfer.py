"""Whether the tuning of earlier updates helps that of the next."""

import math
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from curves import DEFAULT, SEEDS, SPACE, WORKERS, Curves, Replay, parts
from machine import write
from tuning_quality import interval

from renate.tuning.base import COMPLETED
from renate.tuning.space import Config
from renate.tuning.sweep import Limits, Sweep


def transfer() -> None:
    """Trials that a second and a third update need, with the best of those before enqueued, and without."""
    curves = [Curves.read(f"stream{update}") for update in (1, 2, 3)]
    trials, rows = 20, []
    needed: dict[tuple[int, str, str], list[int]] = {}
    for seed in range(SEEDS):
        history: list[Config] = []
        firsts_best = 0.0
        for update, of in enumerate(curves, 1):
            bests = {}
            for kind in ("without", "with"):
                first = (*(reversed(history) if kind == "with" else ()), DEFAULT)
                bests[kind] = _trials_of_the_default(of, seed, _distinct(first), trials)
            goal = max(value for value, _ in bests["without"])
            if update == 1:
                firsts_best = goal
            for kind, found in bests.items():
                for what, mark in (("the first update's best", firsts_best), ("its own best without history", goal)):
                    count = next((i + 1 for i, (value, _) in enumerate(found) if value >= mark), trials)
                    needed.setdefault((update, what, kind), []).append(count)
            best = max(bests["with"], key=lambda pair: pair[0])
            history.append(best[1])
    for update in (2, 3):
        for what in ("the first update's best", "its own best without history"):
            without, given = (needed[update, what, kind] for kind in ("without", "with"))
            ratio = statistics.fmean(given) / statistics.fmean(without)
            rows.append(f"| {update} | {what} | {interval_of(without)} | {interval_of(given)} | {ratio:.2f} |")
    head = ["| update | trials until it reaches | without history | with (`transfer=enqueue`) | ratio |"]
    text = f"`transfer`: the default, {trials} trials, {SEEDS} seeds, three updates of digits; trials, mean ± 95 %."
    write("tuning_transfer", "Does an earlier update's tuning help", text, [*head, "|" + " --- |" * 5, *rows], "tuning")


def _distinct(configs: Iterable[Config]) -> tuple[Config, ...]:
    return tuple({tuple(config.items()): config for config in configs}.values())


def _trials_of_the_default(
    curves: Curves, seed: int, first: tuple[Config, ...], trials: int
) -> list[tuple[float, Config]]:
    """(best validation accuracy reported, configuration) of each trial, in the order they were started."""
    replay = Replay(curves, seed, math.inf)
    proposer, stopper = parts("evolution")
    proposer.bind(SPACE, first=first, seed=seed, steps=curves.epochs, slots=WORKERS)
    stopper.bind(steps=curves.epochs, seed=seed, enqueued=0, warm=curves.warm)
    limits = Limits(trials, None, None, None, None, None, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        done = Sweep(proposer, stopper, replay, mode="max", order="arrival", limits=limits, log=log).run()
    return [(t.value if t.status == COMPLETED and t.value is not None else 0.0, t.config) for t in done]


def interval_of(counts: list[int]) -> str:
    return interval([float(count) for count in counts])
