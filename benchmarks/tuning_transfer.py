"""Whether the tuning of earlier updates helps that of the next."""

import itertools
import math
import statistics
import tempfile
from pathlib import Path

from curves import DEFAULT, SEEDS, SPACE, WORKERS, Curves, Replay, parts
from machine import write
from tuning_quality import interval

from renate.tuning.base import COMPLETED
from renate.tuning.limits import Limits
from renate.tuning.space import Config
from renate.tuning.sweep import Sweep

KINDS = ("none", "enqueue", "rush", "enqueue, three of each")
TRIALS = 20


def transfer() -> None:
    """Trials that a second and a third update need, by what they are told of those before."""
    curves = [Curves.read(f"stream{update}") for update in (1, 2, 3)]
    needed: dict[tuple[int, str, str], list[int]] = {}

    for seed in range(SEEDS):
        past: list[list[tuple[float, Config]]] = []  # of each update, its trials, the best first
        marks: dict[str, float] = {}
        for update, of in enumerate(curves, 1):
            found = {kind: _sweep(of, seed, past, kind) for kind in KINDS}
            marks["its own best without history"] = max(value for value, _ in found["none"])
            if update == 1:
                marks["the first update's best"] = marks["its own best without history"]
            else:
                marks["what the first's best configuration gives here"] = _value(
                    of, seed, past[0][0][1]
                )

            for (what, mark), (kind, trials) in itertools.product(marks.items(), found.items()):
                count = next(
                    (i + 1 for i, (value, _) in enumerate(trials) if value >= mark), TRIALS + 1
                )
                needed.setdefault((update, what, kind), []).append(count)

            past.append(sorted(found["enqueue"], key=lambda pair: -pair[0]))

    rows = [_row(needed, update, what) for update in (2, 3) for what in reversed(marks)]
    head = (
        "| update | trials until it reaches | "
        + " | ".join(f"`{kind}`" for kind in KINDS)
        + " | ratio |"
    )
    text = (
        f"`transfer`: the default, {TRIALS} trials, {SEEDS} seeds, three updates of digits; mean "
        "number of the first "
        f"trial that gets there ± 95 %, {TRIALS + 1} where none does; in brackets how many sweeps "
        "get there. The ratio "
        "is that of `enqueue` to `none`."
    )
    write(
        "tuning_transfer",
        "Does an earlier update's tuning help",
        text,
        [head, "|" + " --- |" * 7, *rows],
        "tuning",
    )


def _row(needed: dict[tuple[int, str, str], list[int]], update: int, what: str) -> str:
    counts = [needed[update, what, kind] for kind in KINDS]
    cells = [
        f"{interval([float(c) for c in one])} ({sum(c <= TRIALS for c in one)})" for one in counts
    ]
    return (
        f"| {update} | {what} | {' | '.join(cells)} | "
        f"{statistics.fmean(counts[1]) / statistics.fmean(counts[0]):.2f} |"
    )


def _value(curves: Curves, seed: int, config: Config) -> float:
    return float(curves.val[curves.nearest(config), seed % curves.val.shape[1]].max())


def _sweep(
    curves: Curves, seed: int, past: list[list[tuple[float, Config]]], kind: str
) -> list[tuple[float, Config]]:
    """(validation accuracy of a completed trial, else 0; configuration) of each trial, in the
    order of their start.
    """
    best = 0 if kind == "none" else 3 if kind.endswith("each") else 1
    known = [config for trials in reversed(past) for _, config in trials[:best]]
    first = tuple({tuple(config.items()): config for config in [*known, DEFAULT]}.values())
    replay = Replay(curves, seed, math.inf)
    proposer, stopper = parts("evolution")
    stopper.bar = kind == "rush"
    proposer.bind(SPACE, first=first, seed=seed, steps=curves.epochs, slots=WORKERS)
    stopper.bind(steps=curves.epochs, seed=seed, enqueued=len(known), warm=curves.warm)
    limits = Limits(TRIALS, None, None, None, None, None, 0.0)

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        done = Sweep(
            proposer, stopper, replay, mode="max", order="arrival", limits=limits, log=log
        ).run()

    return [
        (t.value if t.status == COMPLETED and t.value is not None else 0.0, t.config) for t in done
    ]
