"""What a sweep costs: the loop's own time and memory, and trivial trials a minute beside other
ways to run them.
"""

import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from curves import SPACE, Curves, Replay, parts
from machine import write

from renate.tuning.base import STOPPED
from renate.tuning.limits import Limits
from renate.tuning.sweep import Sweep

RENATE = [sys.executable, "-m", "renate"]
TRIVIAL = [
    *("trainer.max_epochs=1", "data.limit=64", "data.val_size=32", "model.hidden_sizes=[4]"),
    "report=none",
]
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
settings = {"stop_criterion": stop, "n_workers": 2, "sleep_time": 0.1}
Tuner(trial_backend=backend, scheduler=scheduler, **settings).run()
"""


def rate() -> None:
    """The same trivial update as a trial, two at a time (Hydra's basic launcher: one); starting
    included.
    """
    values = ",".join(f"{0.01 + 0.001 * i:.3f}" for i in range(30))
    rows = []
    base = None

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
            (
                "hydra-joblib-launcher, 2 processes",
                30,
                [*grid, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
            ),
            (
                "renate, 2 warm workers, 30 trials",
                30,
                [*tuned, "tuner.max_trials=30", "run_dir=./few"],
            ),
            (
                "renate, 2 warm workers, 1,000 trials",
                1000,
                [*tuned, "tuner.max_trials=1000", "run_dir=./many"],
            ),
        ]
        for name, trials, command in cases:
            if (
                "hydra/launcher=joblib" in command
                and find_spec("hydra_plugins.hydra_joblib_launcher") is None
            ):
                print("hydra-joblib-launcher isn't installed: left out", flush=True)
                continue

            began = time.perf_counter()
            for seed in range(trials) if not command else (0,):
                each = command or [*RENATE, *TRIVIAL, f"seed={seed}", "run_dir=./single"]
                there = os.environ | {"SYNETUNE_FOLDER": where}
                subprocess.run(each, cwd=folder, check=True, capture_output=True, env=there)

            each_minute = 60 * trials / (time.perf_counter() - began)
            base = base or each_minute
            rows.append(f"| {name} | {trials:,} | {each_minute:.0f} | {each_minute / base:.1f} |")
            print(rows[-1], flush=True)

    head = [
        "| trials by | trials | a minute, start included | ratio |",
        "| --- | --- | --- | --- |",
    ]
    text = "`rate`: one epoch on 64 digits; target 20 × a process each."
    write("tuning_rate", "Trivial trials a minute", text, [*head, *rows], "tuning")


def cost(trials: int, workers: int) -> None:
    """Simulated trials of 27 epochs: nothing but the sweep itself takes time."""
    rows = []
    for name in ("random", "asha", "median", "optuna/tpe", "syne_tune/asha"):
        few = trials if "/" not in name else trials // 20
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        curves = synthetic(few)
        replay = Replay(curves, 0, math.inf, slots=workers)
        proposer, stopper = parts(name)
        proposer.bind(SPACE, first=(), seed=0, steps=curves.epochs, slots=workers)
        stopper.bind(steps=curves.epochs, seed=0, enqueued=0, warm=False)
        limits = Limits(few, None, None, None, None, None, 0.0)
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            done = Sweep(
                proposer, stopper, replay, mode="max", order="arrival", limits=limits, log=log
            ).run()
            events = sum(1 for _ in log.open())

        seconds = time.process_time() - began
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        stopped = sum(t.status == STOPPED for t in done)
        rows.append(
            f"| {name} | {few:,} | {events:,} | {stopped:,} | {1e3 * seconds / events:.3f} | "
            f"{memory:.0f} MB |"
        )
        print(rows[-1], flush=True)

    head = [
        "| tuner | trials | events | stopped early | CPU ms per event | memory |",
        "| --- |" + " --- |" * 5,
    ]
    text = (
        f"`cost`: {workers:,} simulated workers, trials of 27 epochs; an event is a question, a "
        "report or an end."
    )
    write("tuning_cost", "The sweep's own cost", text, [*head, *rows], "tuning")


def synthetic(count: int) -> Curves:
    draw = np.random.default_rng(0)
    configs = [SPACE.sample(random.Random(i)) for i in range(min(count, 1000))]
    level = draw.uniform(0.3, 0.95, (len(configs), 1, 1))
    val = level * (1 - 0.5 / np.arange(1, 28)) + draw.normal(0, 0.005, (len(configs), 1, 27))
    return Curves(configs, val, val.max(2), draw.uniform(0.5, 2.0, len(configs)))
