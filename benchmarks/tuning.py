"""What a tuner costs and what it finds: `python benchmarks/tuning.py rate|record|quality|live|transfer|cost`.

rate      Trivial trials a minute with two workers, against other ways to run them, on this machine.
record    Learning curves of 200 configurations × 5 seeds, once per task, into benchmarks/results/curves_*.json; hours.
quality   Every tuner replayed on these curves with a simulated clock and two workers, 60 seeds.
live      The default and random by real sweeps, at equal epochs, beside what the replay says of them.
transfer  A second and a third update tuned with and without the history of those before, 60 seeds, on curves.
cost      The sweep's own time and memory: 10,000 simulated trials on 1,000 workers.

Recorded curves stand for training: a tuner proposes what it likes, and gets the curve of the nearest recorded
configuration (choices equal, the learning rate nearest in its logarithm).
"""

import argparse
import heapq
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from machine import RESULTS, write

from renate.build import build
from renate.tuning.base import COMPLETED, STOPPED
from renate.tuning.space import Config, Domain, Space
from renate.tuning.sweep import End, Limits, Report, Sweep, Trial
from renate.tuning.winner import record_of, trials_of

ROOT = Path(__file__).parents[1]
RENATE = [sys.executable, "-m", "renate"]
SPACE = Space(
    {
        "optimizer.lr": Domain("float", 1e-3, 0.5, log=True),
        "data.batch_size": Domain("choice", choices=("16", "32", "64", "128")),
        "updater.replay_batch_size": Domain("choice", choices=("16", "32", "64", "128")),
    }
)
DEFAULT = {"optimizer.lr": "0.05", "data.batch_size": "32", "updater.replay_batch_size": "32"}
WORKERS, SEEDS = 2, 60


@dataclass
class Curves:
    """What was recorded of a task.

    Attributes:
        configs: In no order.
        val: Accuracy on validation data, [configuration, seed, epoch].
        test: Accuracy on test data of the best epoch's weights, [configuration, seed].
        seconds: Of an epoch, [configuration].
        warm: Whether they started from a trained model.
    """

    configs: list[Config]
    val: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]
    seconds: np.ndarray[Any, Any]
    warm: bool = False

    def __post_init__(self) -> None:
        self.cells: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for index, config in enumerate(self.configs):
            self.cells.setdefault(_cell(config), []).append((math.log(float(config["optimizer.lr"])), index))
        for cell in self.cells.values():
            cell.sort()

    @classmethod
    def read(cls, task: str) -> "Curves":
        found = json.loads((RESULTS / f"curves_{task}.json").read_text())
        return cls(
            found["configs"], np.array(found["val"]), np.array(found["test"]), np.array(found["seconds"]), found["warm"]
        )

    def nearest(self, config: Config) -> int:
        cell, lr = self.cells[_cell(config)], math.log(float(config["optimizer.lr"]))
        at = bisect_left(cell, (lr, 0))
        return min(cell[max(0, at - 1) : at + 1], key=lambda pair: abs(pair[0] - lr))[1]

    @property
    def epochs(self) -> int:
        return int(self.val.shape[2])

    @property
    def whole(self) -> float:
        """Seconds of a full training, the mean over configurations."""
        return float(self.seconds.mean()) * self.epochs


def _cell(config: Config) -> tuple[str, str]:
    return config["data.batch_size"], config["updater.replay_batch_size"]


class Replay:
    """A backend that plays curves back on a simulated clock, until its time is up."""

    def __init__(self, curves: Curves, seed: int, seconds: float, slots: int = WORKERS) -> None:
        self.curves, self.seed, self.seconds, self.slots = curves, seed % curves.val.shape[1], seconds, slots
        self.now, self.epochs = 0.0, 0
        self.heap: list[tuple[float, int, int]] = []
        self.of: dict[int, int] = {}
        self.gone: set[int] = set()
        self.found: list[tuple[float, float, float]] = []  # (time, validation, test) of completed trials

    def clock(self) -> float:
        return self.now

    def start(self, trial: Trial) -> None:
        self.begin(trial.id, trial.config)

    def begin(self, trial: int, config: Config) -> None:
        self.of[trial] = self.curves.nearest(config)
        heapq.heappush(self.heap, (self.now + self.curves.seconds[self.of[trial]], trial, 1))

    def stop(self, trial: Trial) -> None:
        self.gone.add(trial.id)

    def next(self, timeout: float | None) -> Report | End | None:
        """None while a stopped trial's last event is dropped, and for ever once the time is up."""
        if not self.heap or self.heap[0][0] > self.seconds:
            self.now = self.seconds
            return None
        self.now, trial, step = heapq.heappop(self.heap)
        if trial in self.gone:
            return None
        index = self.of[trial]
        if step > self.curves.epochs:
            best = float(self.curves.val[index, self.seed].max())
            self.found.append((self.now, best, float(self.curves.test[index, self.seed])))
            return End(trial, COMPLETED, best, self.curves.seconds[index] * self.curves.epochs)
        self.epochs += 1
        later = self.curves.seconds[index] if step < self.curves.epochs else 0.0
        heapq.heappush(self.heap, (self.now + later, trial, step + 1))
        return Report(trial, step, float(self.curves.val[index, self.seed, step - 1]))

    @property
    def over(self) -> bool:
        return self.now >= self.seconds


def parts(name: str) -> tuple[Any, Any]:
    """Proposer and stopper of an option of conf/tuner."""
    text = (ROOT / "conf" / "tuner" / f"{name}.yaml").read_text()
    node = yaml.safe_load(text.replace("${tuner.storage}", "null"))
    return build(node["proposer"], "tuner.proposer"), build(node["stopper"], "tuner.stopper")


def ours(name: str, first: tuple[Config, ...] = (DEFAULT,)) -> Callable[[Replay, int], None]:
    """Run one of our tuners on a replay."""

    def run(replay: Replay, seed: int) -> None:
        proposer, stopper = parts(name)
        proposer.bind(SPACE, first=first, seed=seed, steps=replay.curves.epochs, slots=replay.slots)
        stopper.bind(steps=replay.curves.epochs, seed=seed, enqueued=0, warm=replay.curves.warm)
        limits = Limits(None, None, None, None, replay.seconds, None, 0.0)
        with tempfile.TemporaryDirectory() as folder:
            Sweep(proposer, stopper, replay, mode="max", order="arrival", limits=limits, log=Path(folder) / "log").run()

    return run


def optuna_itself(replay: Replay, seed: int) -> None:
    """TPE with Hyperband, by Optuna's own ask, report, prune and tell."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="it",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=replay.curves.epochs, reduction_factor=3),
    )
    study.enqueue_trial({"optimizer.lr": 0.05, "data.batch_size": "32", "updater.replay_batch_size": "32"})
    running: dict[int, Any] = {}
    while not replay.over:
        while len(running) < replay.slots:
            trial = study.ask()
            config = {"optimizer.lr": repr(trial.suggest_float("optimizer.lr", 1e-3, 0.5, log=True))}
            for key in ("data.batch_size", "updater.replay_batch_size"):
                config[key] = trial.suggest_categorical(key, SPACE.domains[key].choices)
            running[trial.number] = trial
            replay.begin(trial.number, config)
        event = replay.next(None)
        if isinstance(event, Report):
            running[event.trial].report(event.value, event.step)
            if event.step < replay.curves.epochs and running[event.trial].should_prune():
                replay.gone.add(event.trial)
                study.tell(running.pop(event.trial), state=optuna.trial.TrialState.PRUNED)
        elif isinstance(event, End):
            study.tell(running.pop(event.trial), event.value)


def syne_tune_itself(replay: Replay, seed: int) -> None:
    """ASHA, by Syne Tune's own suggest, on_trial_result and on_trial_complete."""
    from datetime import datetime

    from syne_tune.backend.trial_status import Trial as Theirs
    from syne_tune.config_space import choice, loguniform
    from syne_tune.optimizer.baselines import ASHA

    np.random.seed(seed)  # noqa: NPY002 (its domains draw from it)
    start = {"optimizer.lr": 0.05, "data.batch_size": "32", "updater.replay_batch_size": "32"}
    keys = ("data.batch_size", "updater.replay_batch_size")
    space = {"optimizer.lr": loguniform(1e-3, 0.5)} | {k: choice(list(SPACE.domains[k].choices)) for k in keys}
    asha = ASHA(
        space,
        metric="value",
        time_attr="epoch",
        max_t=replay.curves.epochs,
        do_minimize=False,
        random_seed=seed,
        points_to_evaluate=[start],
        reduction_factor=3,
    )
    running: dict[int, Any] = {}
    number = 0
    while not replay.over:
        while len(running) < replay.slots:
            trial = Theirs(number, asha.suggest().config, datetime.now())
            asha.on_trial_add(trial)
            running[number] = trial
            replay.begin(number, {key: str(value) for key, value in trial.config.items()})
            number += 1
        event = replay.next(None)
        if isinstance(event, Report):
            decision = asha.on_trial_result(running[event.trial], {"epoch": event.step, "value": event.value})
            if event.step < replay.curves.epochs and str(decision) != "CONTINUE":
                replay.gone.add(event.trial)
                running.pop(event.trial)
        elif isinstance(event, End):
            done = running.pop(event.trial)
            asha.on_trial_complete(done, {"epoch": replay.curves.epochs, "value": event.value})


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
    """Validation and test accuracy of what was best by validation among completed trials, at three budgets."""
    table: list[str] = []
    for task in tasks:
        curves = Curves.read(task)
        runs = {name: [_run(tuner, curves, seed) for seed in range(SEEDS)] for name, tuner in TUNERS.items()}
        for clock in ("wall time", "epochs"):
            budgets = (3, 10, 50)
            table += [
                f"**{task}**, equal {clock}: mean over {SEEDS} seeds ± 95 % confidence",
                "",
                "| tuner | " + " | ".join(f"{part}, {b}" for part in ("val", "test") for b in budgets) + " |",
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
    text = "`quality`: budgets in full trainings, shared by two workers; validation and test accuracy in %."
    write("tuning_quality", "What tuners find", text, table, "tuning")


@dataclass
class Run:
    """One sweep on curves: its finds in order, (wall time, epochs, validation, test), the first two in trainings."""

    finds: list[tuple[float, float, float, float]]


def _run(tuner: Callable[[Replay, int], None], curves: Curves, seed: int) -> Run:
    replay = Counting(curves, seed, 50 * curves.whole / WORKERS)
    tuner(replay, seed)
    return Run(replay.finds)


class Counting(Replay):
    """A replay that also notes how many epochs had been run at each find."""

    @property
    def finds(self) -> list[tuple[float, float, float, float]]:
        return [(t / self.curves.whole * self.slots, e / self.curves.epochs, v, s) for t, e, v, s in self.noted]

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
    """Validation and test accuracy of the best find within a budget; of the first find, where it came later."""
    column = 0 if clock == "wall time" else 1
    within = [find for find in run.finds if find[column] <= budget] or run.finds[:1]
    best = max(within, key=lambda find: find[2])
    return best[2], best[3]


def time_until(run: Run, goal: float) -> float:
    return next((find[0] for find in run.finds if find[2] >= goal), 50.0)


def interval(values: list[float]) -> str:
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.fmean(values):.2f} ± {half:.2f}"


# Recording

BASES: dict[str, list[str]] = {
    "digits": ["data.val_size=0.2", "memory.capacity=200"],
    "digits_update": ["data.val_size=0.2", "scenario=iid", "scenario.chunks=2", "memory.capacity=200"],
    "mnist": [
        *["data=mnist", "data.limit=3200", "data.val_size=0.2", "scenario=iid", "scenario.chunks=2"],
        "memory.capacity=500",
    ],
    "stream": ["data.val_size=0.2", "scenario=iid", "scenario.chunks=3", "memory.capacity=200"],
}


def record(task: str, configs: int, seeds: int, epochs: int) -> None:
    """Train every configuration from the state that an update with the default's values left."""
    base = BASES[task]
    sweep = [f"trainer.max_epochs={epochs}", "search_space=er", "tuner=random", f"tuner.max_trials={configs}"]
    sweep += [f"tuner.seeds={seeds}", "backend.workers=2", "state.next_url=./elsewhere"]
    recorded = {"digits": [0], "stream": [0, 1, 2]}.get(task, [1])
    with tempfile.TemporaryDirectory() as folder:
        for update in range(max(recorded) + 1):
            first = ["state.first=true"] if update == 0 else []
            at = [*base, *([f"job.chunk={update}"] if "scenario=iid" in base else []), "state.url=./state"]
            if update in recorded:
                command = [*RENATE, *at, *first, *sweep, f"run_dir=./runs-{update}", f"state.next_url=./next-{update}"]
                subprocess.run(command, cwd=folder, check=True)
                name = f"{task}{update + 1}" if task == "stream" else task
                extract(next(Path(folder, f"runs-{update}").glob("sweep-*/sweep.json")).parent, name)
            subprocess.run([*RENATE, *at, *first, "trainer.max_epochs=9"], cwd=folder, check=True)


def extract(sweep: Path, name: str) -> None:
    """Keep a recorded sweep's curves in benchmarks/results."""
    configs, val, test, seconds, warm = [], [], [], [], record_of(sweep)["parent"] is not None
    for trial in trials_of(sweep):
        jobs = [sweep / str(trial.id), *sorted(sweep.glob(f"{trial.id}-seed*"))]
        if trial.status != COMPLETED:
            continue
        reports = [[json.loads(line) for line in (j / "metrics.jsonl").read_text().splitlines()] for j in jobs]
        configs.append(trial.config)
        val.append([[round(r["val_accuracy"], 4) for r in one] for one in reports])
        test.append([round(json.loads((j / "result.json").read_text())["metrics"]["test_accuracy"], 4) for j in jobs])
        spans = [(one[-1]["time"] - one[0]["time"]) / (len(one) - 1) for one in reports]
        seconds.append(round(statistics.median(spans), 5))
    found = {"configs": configs, "val": val, "test": test, "seconds": seconds, "warm": warm}
    (RESULTS / f"curves_{name}.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


# Live


def live(seeds: int) -> None:
    """Real sweeps of an update of digits, until so many epochs were trained; the replay's are of the recorded seeds."""
    budgets, curves, rows = (3, 10), Curves.read("digits_update"), []
    epochs = curves.epochs
    for tuner in ("random", "evolution"):
        replayed = [_run(ours(tuner), curves, seed) for seed in range(SEEDS)]
        with tempfile.TemporaryDirectory() as folder:
            real = [_live_run(Path(folder), tuner, seed, max(budgets) * epochs, epochs) for seed in range(seeds)]
        for how, runs in (("live", real), ("replayed", replayed)):
            shown = [interval([100 * best_at(run, b, "epochs")[0] for run in runs]) for b in budgets]
            rows.append(f"| {tuner} | {how} | {len(runs)} | {' | '.join(shown)} |")
            print(rows[-1], flush=True)
    head = ["| tuner | sweeps | seeds | " + " | ".join(f"val, {b} trainings" for b in budgets) + " |"]
    head.append("| --- |" + " --- |" * (2 + len(budgets)))
    text = (
        f"`live`: an update of digits, validation accuracy in %; budgets in epochs, {epochs} a training; mean ± 95 %."
    )
    write("tuning_live", "Replayed and real sweeps", text, [*head, *rows], "tuning")


def _live_run(folder: Path, tuner: str, seed: int, budget: int, epochs: int) -> "Run":
    """A real sweep on a state of its own; its finds by the epochs that all trials had run."""
    base, place = BASES["digits_update"], folder / f"{tuner}-{seed}"
    place.mkdir()
    at = [*base, f"seed={seed}", "state.url=./state"]
    subprocess.run([*RENATE, *at, "job.chunk=0", "state.first=true", "trainer.max_epochs=9"], cwd=place, check=True)
    sweep = ["job.chunk=1", f"trainer.max_epochs={epochs}", "search_space=er", f"tuner={tuner}", "backend.workers=2"]
    # Random needs a training a trial; of the default's, most are stopped.
    trials = budget // epochs + 2 if tuner == "random" else 40
    subprocess.run([*RENATE, *at, *sweep, f"tuner.max_trials={trials}", "run_dir=./runs"], cwd=place, check=True)
    done, finds = 0, []
    for line in next(place.glob("runs/sweep-*/events.jsonl")).read_text().splitlines():
        event = json.loads(line)
        done += "report" in event
        if event.get("status") == COMPLETED:
            finds.append((event["time"], done / epochs, event["value"], math.nan))
    return Run(finds)


# Transfer


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


# The sweep's own cost


def cost(trials: int, workers: int) -> None:
    """Simulated trials of 27 epochs: nothing but the sweep itself takes time."""
    rows = []
    for name in ("random", "asha", "median", "optuna/tpe", "syne_tune/asha"):
        few = trials if "/" not in name else trials // 20
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        curves = synthetic(few)
        replay = Replay(curves, 0, math.inf, slots=workers)
        proposer, stopper = parts(name)
        proposer.bind(SPACE, first=(), seed=0, steps=curves.epochs, slots=workers)
        stopper.bind(steps=curves.epochs, seed=0, enqueued=0, warm=False)
        limits = Limits(few, None, None, None, None, None, 0.0)
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            done = Sweep(proposer, stopper, replay, mode="max", order="arrival", limits=limits, log=log).run()
            events = sum(1 for _ in log.open())
        seconds = time.process_time() - began
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        stopped = sum(t.status == STOPPED for t in done)
        rows.append(f"| {name} | {few:,} | {events:,} | {stopped:,} | {1e3 * seconds / events:.3f} | {memory:.0f} MB |")
        print(rows[-1], flush=True)
    head = ["| tuner | trials | events | stopped early | CPU ms per event | memory |", "| --- |" + " --- |" * 5]
    text = f"`cost`: {workers:,} simulated workers, trials of 27 epochs; an event is a question, a report or an end."
    write("tuning_cost", "The sweep's own cost", text, [*head, *rows], "tuning")


def synthetic(count: int) -> Curves:
    draw = np.random.default_rng(0)
    import random

    configs = [SPACE.sample(random.Random(i)) for i in range(min(count, 1000))]
    level = draw.uniform(0.3, 0.95, (len(configs), 1, 1))
    val = level * (1 - 0.5 / np.arange(1, 28)) + draw.normal(0, 0.005, (len(configs), 1, 27))
    return Curves(configs, val, val.max(2), draw.uniform(0.5, 2.0, len(configs)))


# Trials a minute

TRIVIAL = ["trainer.max_epochs=1", "data.limit=64", "data.val_size=32", "model.hidden_sizes=[4]"]
ENTRY = """
import argparse, contextlib, io, sys
from renate.cli import main
from syne_tune import Reporter
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
asked, _ = parser.parse_known_args()
report = Reporter()
main([*ARGUMENTS, f"optimizer.lr={asked.lr}", "hydra/launcher=basic"])
report(epoch=1, value=0.0)
"""
TUNE = """
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import loguniform
from syne_tune.optimizer.baselines import RandomSearch
scheduler = RandomSearch({"lr": loguniform(1e-3, 0.5)}, metrics=["value"])
stop = StoppingCriterion(max_num_trials_finished=TRIALS)
backend = LocalBackend(entry_point="trial.py")
Tuner(trial_backend=backend, scheduler=scheduler, stop_criterion=stop, n_workers=2, sleep_time=0.1).run()
"""


def rate() -> None:
    """The same trivial update as a trial, two at a time (Hydra's basic launcher: one); starting included."""
    values = ",".join(f"{0.01 + 0.001 * i:.3f}" for i in range(30))
    rows, base = [], None
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        tuned = [*RENATE, *TRIVIAL, "tuner=random", "search_space=lr", "backend.workers=2"]
        grid = [*RENATE, *TRIVIAL, f"optimizer.lr={values}", "run_dir=./basic"]
        (folder / "trial.py").write_text(ENTRY.replace("*ARGUMENTS", ", ".join(map(repr, TRIVIAL))))
        (folder / "tune.py").write_text(TUNE.replace("TRIALS", "11"))
        cases: list[tuple[str, int, list[str]]] = [
            ("a process per trial, one after the other", 5, []),
            ("Syne Tune's LocalBackend, 2 workers", 12, [sys.executable, "tune.py"]),
            ("Hydra's basic launcher, 1 process", 30, [*grid, "hydra/launcher=basic"]),
            ("hydra-joblib-launcher, 2 processes", 30, [*grid, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
            ("renate, 2 warm workers, 30 trials", 30, [*tuned, "tuner.max_trials=30", "run_dir=./few"]),
            ("renate, 2 warm workers, 1,000 trials", 1000, [*tuned, "tuner.max_trials=1000", "run_dir=./many"]),
        ]
        for name, trials, command in cases:
            began = time.perf_counter()
            for seed in range(trials) if not command else (0,):
                each = command or [*RENATE, *TRIVIAL, f"seed={seed}", "run_dir=./single"]
                there = os.environ | {"SYNETUNE_FOLDER": where}
                subprocess.run(each, cwd=folder, check=True, capture_output=True, env=there)
            each_minute = 60 * trials / (time.perf_counter() - began)
            base = base or each_minute
            rows.append(f"| {name} | {trials:,} | {each_minute:.0f} | {each_minute / base:.1f} |")
            print(rows[-1], flush=True)
    head = ["| trials by | trials | a minute, start included | ratio |", "| --- | --- | --- | --- |"]
    text = "`rate`: one epoch on 64 digits; target 20 × a process each."
    write("tuning_rate", "Trivial trials a minute", text, [*head, *rows], "tuning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rate", "record", "quality", "live", "transfer", "cost"])
    parser.add_argument("--task", choices=sorted(BASES), default="digits", help="of record")
    parser.add_argument("--configs", type=int, default=200, help="of record")
    parser.add_argument("--seeds", type=int, default=5, help="of record")
    parser.add_argument("--epochs", type=int, default=27, help="of record")
    parser.add_argument("--trials", type=int, default=10_000, help="of cost")
    parser.add_argument("--live-seeds", type=int, default=20, help="of live")
    asked = parser.parse_args()
    if asked.what == "record":
        record(asked.task, asked.configs, asked.seeds, asked.epochs)
    elif asked.what == "quality":
        quality(task for task in ("digits", "digits_update", "mnist") if (RESULTS / f"curves_{task}.json").exists())
    elif asked.what == "cost":
        cost(asked.trials, 1000)
    elif asked.what == "live":
        live(asked.live_seeds)
    else:
        {"rate": rate, "transfer": transfer}[asked.what]()


if __name__ == "__main__":
    main()
