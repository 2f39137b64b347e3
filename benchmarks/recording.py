"""Recording learning curves: every configuration of a random sweep, on several seeds."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import RESULTS

from renate.tuning.base import COMPLETED
from renate.tuning.on_disk.sweep_folder import trials_of
from renate.tuning.on_disk.sweep_record import SweepRecord

RENATE = [sys.executable, "-m", "renate"]
BASES: dict[str, list[str]] = {
    "digits": ["data.val_size=0.2", "memory.capacity=200"],
    "digits_update": [
        "data.val_size=0.2",
        "scenario=iid",
        "scenario.chunks=2",
        "memory.capacity=200",
    ],
    "mnist": [
        *[
            "data=mnist",
            "data.limit=3200",
            "data.val_size=0.2",
            "scenario=iid",
            "scenario.chunks=2",
        ],
        "memory.capacity=500",
    ],
    "stream": ["data.val_size=0.2", "scenario=iid", "scenario.chunks=3", "memory.capacity=200"],
}


def record(task: str, configs: int, seeds: int, epochs: int) -> None:
    """Train every configuration from the state that an update with the default's values left."""
    base = BASES[task]
    sweep = [
        f"trainer.max_epochs={epochs}",
        "search_space=er",
        "tuner=random",
        "report=none",
        f"tuner.max_trials={configs}",
    ]
    sweep += [f"tuner.seeds={seeds}", "backend.workers=2", "state.next_url=./elsewhere"]
    recorded = {"digits": [0], "stream": [0, 1, 2]}.get(task, [1])

    with tempfile.TemporaryDirectory() as folder:
        for update in range(max(recorded) + 1):
            first = ["state.first=true"] if update == 0 else []
            at = [
                *base,
                *([f"job.chunk={update}"] if "scenario=iid" in base else []),
                "state.url=./state",
            ]
            if update in recorded:
                command = [
                    *RENATE,
                    *at,
                    *first,
                    *sweep,
                    f"run_dir=./runs-{update}",
                    f"state.next_url=./next-{update}",
                ]
                subprocess.run(command, cwd=folder, check=True)
                name = f"{task}{update + 1}" if task == "stream" else task
                extract(
                    next(Path(folder, f"runs-{update}").glob("sweep-*/sweep.json")).parent, name
                )

            subprocess.run([*RENATE, *at, *first, "trainer.max_epochs=9"], cwd=folder, check=True)


def extract(sweep: Path, name: str) -> None:
    """Keep a recorded sweep's curves in benchmarks/results."""
    configs = []
    val = []
    test = []
    seconds = []
    warm = SweepRecord.read(sweep).parent is not None

    for trial in trials_of(sweep):
        jobs = [sweep / str(trial.id), *sorted(sweep.glob(f"{trial.id}-seed*"))]
        if trial.status != COMPLETED:
            continue

        reports = [
            [json.loads(line) for line in (j / "metrics.jsonl").read_text().splitlines()]
            for j in jobs
        ]
        configs.append(trial.config)
        val.append([[round(r["val_accuracy"], 4) for r in one] for one in reports])
        test.append(
            [
                round(json.loads((j / "result.json").read_text())["metrics"]["test_accuracy"], 4)
                for j in jobs
            ]
        )
        spans = [(one[-1]["time"] - one[0]["time"]) / (len(one) - 1) for one in reports]
        seconds.append(round(statistics.median(spans), 5))

    found = {"configs": configs, "val": val, "test": test, "seconds": seconds, "warm": warm}
    (RESULTS / f"curves_{name}.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
