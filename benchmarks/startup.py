"""How long until something happens: `python benchmarks/startup.py`. CPU seconds of whole
processes; medians of 5.
"""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from machine import write

RENATE = [sys.executable, "-m", "renate"]
COMPLETE = {"COMP_LINE": "renate updater=", "COMP_POINT": "15"}
FIRST_STEP = ["trainer.max_steps=1", "objective.metric=null"]
TRIVIAL = [
    *("trainer.max_epochs=1", "data.limit=64", "data.val_size=32", "model.hidden_sizes=[4]"),
    "report=none",
]

FRESH = "a process per job, one after the other (60 / wall seconds of one)"
HYDRAS = "Hydra's basic sweeper and launcher, one process"
MOST = 15  # packages that have a row of their own
IMPORTS = ["| imported for one update | modules | ms |", "| --- | --- | --- |"]
HEAD = [
    "| trivial jobs | jobs | jobs a minute, without the start | × a process per job | × Hydra's "
    "basic |",
    "| --- | --- | --- | --- | --- |",
]


def cpu(command: list[str], folder: str, **environment: str) -> tuple[float, float]:
    """Return CPU and wall seconds of a command and all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = time.perf_counter()

    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended - began


def first_step(folder: str) -> float:
    """Wall seconds from the command to the report of its first training step, on the default
    data and model.
    """
    run_dir = Path(tempfile.mkdtemp(dir=folder))
    began = time.time()
    cpu([*RENATE, *FIRST_STEP, f"run_dir={run_dir}"], folder)
    reports = run_dir / "latest" / "metrics.jsonl"

    return float(json.loads(reports.read_text().splitlines()[0])["time"]) - began


def imports(folder: str) -> list[str]:
    """Rows of what an update imports in its two processes, the command and the worker: by package,
    modules and milliseconds of its own (under the import timer, which adds to each).
    """
    command = [*RENATE, *FIRST_STEP, f"run_dir={tempfile.mkdtemp(dir=folder)}"]
    timed = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    said = subprocess.run(
        command, cwd=folder, env=timed, capture_output=True, text=True, check=True
    ).stderr

    counts: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    for own, module in re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", said):
        package = module.partition(".")[0]
        counts[package] += 1
        spent[package] += int(own)

    others = len(spent) - MOST
    rows = [
        f"| {name} | {counts[name]} | {us / 1000:.0f} |" for name, us in spent.most_common(MOST)
    ]
    rest = sum(us for _, us in spent.most_common()[MOST:])
    modules = sum(counts[name] for name, _ in spent.most_common()[MOST:])

    return [*rows, f"| {others} others, Python's own among them | {modules} | {rest / 1000:.0f} |"]


def main() -> None:
    table = ["| command | CPU s | wall s | target |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        commands: list[tuple[str, list[str], str, dict[str, str]]] = [
            ("renate --help", [*RENATE, "--help"], "", {}),
            ("renate --cfg job", [*RENATE, "--cfg", "job"], "1.0 CPU s", {}),
            (
                "tab completion",
                [*RENATE, "-sc", "query=bash"],
                "",
                COMPLETE,
            ),
            (
                "import torch, pytorch_lightning",
                [sys.executable, "-c", "import torch, pytorch_lightning"],
                "",
                {},
            ),
            ("renate, one trivial update", [*RENATE, *TRIVIAL, "resume=false"], "", {}),
        ]
        for name, command, target, environment in commands:
            runs = [cpu(command, folder, **environment) for _ in range(5)]
            cells = [f"{statistics.median(r[k] for r in runs):.2f}" for k in (0, 1)]
            table.append(f"| {name} | {' | '.join(cells)} | {target} |")
            print(table[-1], flush=True)

        walls = [first_step(folder) for _ in range(5)]
        table.append(
            "| renate, from the command to the end of the first training step | – | "
            f"{statistics.median(walls):.2f} | |"
        )
        print(table[-1], flush=True)
        table += ["", *IMPORTS, *imports(folder)]
        table += ["", *HEAD]
        fresh = statistics.median(
            cpu([*RENATE, *TRIVIAL, f"seed={900 + i}"], folder)[1] for i in range(5)
        )
        rates = {
            FRESH: (5, 60 / fresh),
            "a process per job, two at a time, at best": (5, 2 * 60 / fresh),
        }
        for name, more in (
            ("warm workers, backend.workers=2", ["backend.workers=2"]),
            ("Hydra's basic launcher, by our sweeper, one process", ["hydra/launcher=basic"]),
            (HYDRAS, ["hydra/launcher=basic", "hydra/sweeper=basic"]),
        ):
            few = 2
            many = 302 if more[0].startswith("backend") else 62
            run_dir = f"run_dir={Path(folder) / str(len(rates))}"
            base = cpu([*RENATE, *TRIVIAL, *more, run_dir, f"seed=range({few})"], folder)[1]
            wall = cpu(
                [*RENATE, *TRIVIAL, *more, run_dir, f"seed=range(100,{100 + many})"], folder
            )[1]
            rates[name] = (many, 60 * (many - few) / (wall - base))

        slowest, hydras = (rates[name][1] for name in (FRESH, HYDRAS))
        for name, (jobs, rate) in rates.items():
            table.append(
                f"| {name} | {jobs} | {rate:.0f} | {rate / slowest:.1f} | {rate / hydras:.1f} |"
            )

    text = (
        "CPU and wall seconds of whole processes; target for warm workers: 20 × Hydra's basic, at "
        "least 10 ×."
    )
    write("startup", "Start-up", text, table)


if __name__ == "__main__":
    main()
