"""What tuners find on recorded curves, and whether real sweeps agree."""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from curves import SEEDS, WORKERS, Curves, Replay, ours
from machine import write
from recording import BASES
from rivals import optuna_itself, syne_tune_itself

from renate.tuning.base import COMPLETED
from renate.tuning.trial import End, Report

RENATE = [sys.executable, "-m", "renate"]
TUNERS: dict[str, Callable[[Replay, int], None]] = {
    "random": ours("random"),
    "evolution (the default)": ours("evolution"),
    "asha": ours("asha"),
    "hyperband": ours("hyperband"),
    "median": ours("median"),
    "optuna/tpe": ours("optuna/tpe"),
    "syne_tune/asha": ours("syne_tune/asha"),
    "Optuna itself: TPE + Hyperband": optuna_itself,
    "Syne Tune itself: ASHA": syne_tune_itself,
}


def quality(tasks: Iterable[str]) -> None:
    """Validation and test accuracy of what was best by validation among completed trials, at
    three budgets.
    """
    table: list[str] = []
    for task in tasks:
        curves = Curves.read(task)
        runs = {
            name: [_run(tuner, curves, seed) for seed in range(SEEDS)]
            for name, tuner in TUNERS.items()
        }
        for clock in ("wall time", "epochs"):
            budgets = (3, 10, 50)
            table += [
                f"**{task}**, equal {clock}: mean over {SEEDS} seeds ± 95 % confidence",
                "",
                "| tuner | "
                + " | ".join(f"{part}, {b}" for part in ("val", "test") for b in budgets)
                + " |",
                "| --- |" + " --- |" * 6,
            ]
            for name, found in runs.items():
                cells = [[best_at(run, b, clock) for run in found] for b in budgets]
                shown = [interval([100 * c[k] for c in cell]) for k in (0, 1) for cell in cells]
                table.append(f"| {name} | {' | '.join(shown)} |")
                print(task, clock, table[-1], flush=True)

            table.append("")

        goal = statistics.median(best_at(run, 10, "wall time")[0] for run in runs["random"])
        until = {name: [time_until(run, goal) for run in found] for name, found in runs.items()}
        medians = {name: statistics.median(times) for name, times in until.items()}
        table += [
            f"Trainings until random's median best at 10 trainings ({100 * goal:.2f} %), median:",
            "",
            *(
                f"- {name}: {median:.1f} ({median / medians['random']:.2f} × random)"
                for name, median in medians.items()
            ),
            "",
        ]

    text = (
        "`quality`: budgets in full trainings, shared by two workers; validation and test accuracy "
        "in %."
    )
    write("tuning_quality", "What tuners find", text, table, "tuning")


@dataclass
class Run:
    """One sweep on curves: its finds in order, (wall time, epochs, validation, test), the first
    two in trainings.
    """

    finds: list[tuple[float, float, float, float]]


def _run(tuner: Callable[[Replay, int], None], curves: Curves, seed: int) -> Run:
    replay = Counting(curves, seed, 50 * curves.whole / WORKERS)
    tuner(replay, seed)
    return Run(replay.finds)


class Counting(Replay):
    """A replay that also notes how many epochs had been run at each find."""

    @property
    def finds(self) -> list[tuple[float, float, float, float]]:
        return [
            (t / self.curves.whole * self.slots, e / self.curves.epochs, v, s)
            for t, e, v, s in self.noted
        ]

    def __init__(self, curves: Curves, seed: int, seconds: float, slots: int = WORKERS) -> None:
        super().__init__(curves, seed, seconds, slots)
        self.noted: list[tuple[float, int, float, float]] = []

    def next(self, timeout: float | None) -> Report | End | None:
        event = super().next(timeout)
        if isinstance(event, End):
            at, val, test = self.found[-1]
            self.noted.append((at, self.epochs, val, test))
        return event


def best_at(run: Run, budget: float, clock: str) -> tuple[float, float]:
    """Validation and test accuracy of the best find within a budget; of the first find, where it
    came later.
    """
    column = 0 if clock == "wall time" else 1
    within = [find for find in run.finds if find[column] <= budget] or run.finds[:1]
    best = max(within, key=lambda find: find[2])
    return best[2], best[3]


def time_until(run: Run, goal: float) -> float:
    return next((find[0] for find in run.finds if find[2] >= goal), 50.0)


def interval(values: list[float]) -> str:
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.fmean(values):.2f} ± {half:.2f}"


def live(seeds: int) -> None:
    """Real sweeps of an update of digits, until so many epochs were trained; the replay's are of
    the recorded seeds.
    """
    budgets = (3, 10)
    curves = Curves.read("digits_update")
    rows = []
    epochs = curves.epochs

    for tuner in ("random", "evolution"):
        replayed = [_run(ours(tuner), curves, seed) for seed in range(SEEDS)]
        with tempfile.TemporaryDirectory() as folder:
            real = [
                _live_run(Path(folder), tuner, seed, max(budgets) * epochs, epochs)
                for seed in range(seeds)
            ]

        for how, runs in (("live", real), ("replayed", replayed)):
            shown = [
                interval([100 * best_at(run, b, "epochs")[0] for run in runs]) for b in budgets
            ]
            rows.append(f"| {tuner} | {how} | {len(runs)} | {' | '.join(shown)} |")
            print(rows[-1], flush=True)

    head = [
        "| tuner | sweeps | seeds | " + " | ".join(f"val, {b} trainings" for b in budgets) + " |"
    ]
    head.append("| --- |" + " --- |" * (2 + len(budgets)))
    text = (
        f"`live`: an update of digits, validation accuracy in %; budgets in epochs, {epochs} a "
        "training; mean ± 95 %."
    )
    write("tuning_live", "Replayed and real sweeps", text, [*head, *rows], "tuning")


def _live_run(folder: Path, tuner: str, seed: int, budget: int, epochs: int) -> Run:
    """A real sweep on a state of its own; its finds by the epochs that all trials had run."""
    base = BASES["digits_update"]
    place = folder / f"{tuner}-{seed}"
    place.mkdir()
    at = [*base, f"seed={seed}", "state.url=./state"]
    subprocess.run(
        [*RENATE, *at, "job.chunk=0", "state.first=true", "trainer.max_epochs=9"],
        cwd=place,
        check=True,
    )
    sweep = [
        "job.chunk=1",
        f"trainer.max_epochs={epochs}",
        "search_space=er",
        f"tuner={tuner}",
        "report=none",
        "backend.workers=2",
    ]
    # Random needs a training a trial; of the default's, most are stopped.
    trials = budget // epochs + 2 if tuner == "random" else 40
    subprocess.run(
        [*RENATE, *at, *sweep, f"tuner.max_trials={trials}", "run_dir=./runs"],
        cwd=place,
        check=True,
    )
    done = 0
    finds = []

    for line in next(place.glob("runs/sweep-*/events.jsonl")).read_text().splitlines():
        event = json.loads(line)
        done += "report" in event
        if event.get("status") == COMPLETED:
            finds.append((event["time"], done / epochs, event["value"], math.nan))

    return Run(finds)
