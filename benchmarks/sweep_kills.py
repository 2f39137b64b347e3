"""Sweeps killed at random moments: `python benchmarks/sweep_kills.py --kills 50`.

Each tuner of conf/tuner on a toy job without torch, in a process that is killed (SIGKILL) so many
times while it runs; and the default on real training, as a whole `renate` command. With
`tuner.order=fixed` each must end with exactly the trials, and the command with the published
version, of a sweep that nobody disturbed. No worker may outlive its command.
"""

import argparse
import heapq
import importlib.util
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from machine import write

from renate.build import build
from renate.state.versions import State
from renate.tuning.base import COMPLETED
from renate.tuning.limits import Limits
from renate.tuning.on_disk.trial_history import decode
from renate.tuning.space import Domain, Space
from renate.tuning.sweep import Sweep
from renate.tuning.trial import End, Report, Trial

TUNERS = Path(__file__).parents[1] / "conf" / "tuner"
SPACE = Space(
    {
        "updater": Domain("choice", choices=("er", "derpp")),
        "lr": Domain("float", 1e-4, 1.0, log=True),
        "alpha": Domain("float", 0.0, 1.0),
    },
    {"alpha": ("updater", frozenset({"derpp"}))},
)
FINITE = Space({"lr": Domain("choice", choices=("0.1", "0.2", "0.3")), "size": Domain("int", 1, 4)})
NEEDS = {"optuna": "optuna", "syne_tune": "syne_tune", "syne_tune/cqr": "huggingface_hub"}
EPOCHS = 9
TRIALS = 12


class Toy:
    """Two slots; an epoch takes some milliseconds, which differ from trial to trial and from run
    to run.
    """

    slots = 2

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, int]] = []
        self.lr: dict[int, float] = {}
        self.gone: set[int] = set()

    def clock(self) -> float:
        return time.monotonic()

    def start(self, trial: Trial) -> None:
        self.lr[trial.id] = float(trial.config["lr"])
        self._later(trial.id, 1)

    def _later(self, trial: int, step: int) -> None:
        heapq.heappush(self.heap, (time.monotonic() + random.uniform(0.0005, 0.003), trial, step))

    def stop(self, trial: Trial) -> None:
        self.gone.add(trial.id)

    def next(self, timeout: float | None) -> Report | End | None:
        when, trial, step = heapq.heappop(self.heap)
        time.sleep(max(0.0, when - time.monotonic()))
        if trial in self.gone:
            return None
        if step > EPOCHS:
            return End(trial, COMPLETED, self._value(trial, EPOCHS), 1.0)

        self._later(trial, step + 1)

        return Report(trial, step, self._value(trial, step))

    def _value(self, trial: int, step: int) -> float:
        return -((self.lr[trial] - 0.1) ** 2) - 0.3 / step


def toy(name: str, log: str, outcome: str) -> None:
    """One sweep to its end, or to its death; at its end the trials are written down."""
    node = yaml.safe_load((TUNERS / f"{name}.yaml").read_text().replace("${tuner.storage}", "null"))
    proposer = build(node["proposer"], "tuner.proposer")
    stopper = build(node["stopper"], "tuner.stopper")
    proposer.bind(FINITE if name == "grid" else SPACE, first=(), seed=0, steps=EPOCHS, slots=2)
    stopper.bind(steps=EPOCHS, seed=0, enqueued=0, warm=False)
    limits = Limits(TRIALS, None, None, None, None, None, 0.0)
    trials = Sweep(
        proposer, stopper, Toy(), mode="max", order="fixed", limits=limits, log=Path(log)
    ).run()
    rows = [[t.id, t.config, t.source, t.status, t.step, t.value, t.curve] for t in trials]
    Path(outcome).write_text(json.dumps(rows))


def kill_toys(kills: int, folder: Path) -> list[str]:
    context = multiprocessing.get_context("forkserver")
    draw = random.Random(0)
    rows = []
    engines = [
        m
        for m in ("optuna", "syne_tune.optimizer.baselines")
        if importlib.util.find_spec(m.split(".")[0])
    ]
    context.set_forkserver_preload(["renate.tuning.sweep", "renate.tuning.proposers", *engines])

    for path in sorted(TUNERS.rglob("*.yaml")):
        name = str(path.relative_to(TUNERS).with_suffix(""))
        needed = NEEDS.get(name, NEEDS.get(name.split("/")[0], "json"))
        if path.stem in ("auto", "default") or importlib.util.find_spec(needed) is None:
            continue

        place = folder / name.replace("/", "-")
        place.mkdir()
        context_run(context, name, place / "whole", None)
        died = 0
        sweep = 0
        began = time.monotonic()
        context_run(context, name, place / "timed", None)
        span = time.monotonic() - began
        while died < kills:
            sweep += 1
            for _ in range(5):
                died += context_run(
                    context, name, place / str(sweep), draw.uniform(0.2, 1.0) * span
                )
            context_run(context, name, place / str(sweep), None)
            assert (place / f"{sweep}.json").read_text() == (place / "whole.json").read_text(), name

        rows.append(f"| `tuner={name}`, toy | {died} | {sweep} | {sweep} |")
        print(rows[-1], flush=True)

    return rows


def context_run(context: Any, name: str, place: Path, dies: float | None) -> bool:
    """Run one process; whether it was killed before its end."""
    process = context.Process(target=toy, args=(name, f"{place}.log", f"{place}.json"))
    process.start()
    process.join(dies)
    alive = process.is_alive()

    if alive:
        process.kill()
        process.join()
    elif process.exitcode:
        raise SystemExit(f"{name}: a sweep failed")

    return alive


REAL = [
    *["model.hidden_sizes=[16]", "data.limit=400", "trainer.max_epochs=9", "backend.workers=2"],
    *[
        "search_space=er",
        "tuner.max_trials=16",
        "tuner.order=fixed",
        "state.url=./state",
        "state.first=true",
    ],
]


def kill_commands(kills: int, folder: Path) -> str:
    """The default tuner on real training."""
    command = [sys.executable, "-m", "renate", *REAL]
    draw = random.Random(1)
    died = 0
    sweeps = 0
    (folder / "whole").mkdir()
    subprocess.run(command, cwd=folder / "whole", check=True, capture_output=True)
    expected = outcome_of(folder / "whole")

    while died < kills:
        sweeps += 1
        place = folder / f"sweep-{sweeps}"
        place.mkdir()
        over = False
        while not over and died < kills:
            process = subprocess.Popen(
                command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            log = place / "runs" / "latest" / "events.jsonl"
            before = log.stat().st_size if log.exists() else 0
            until = time.monotonic() + 60
            more = draw.randint(1, 1500)
            while process.poll() is None and (
                not log.exists() or log.stat().st_size < before + more
            ):
                assert time.monotonic() < until
                time.sleep(0.002)

            time.sleep(draw.uniform(0, 0.05))
            over = process.poll() is not None
            died += not over
            process.send_signal(signal.SIGKILL)
            process.wait()
            while workers(place):
                assert time.monotonic() < until, "a worker outlived its command"
                time.sleep(0.02)

        if not over:
            subprocess.run(command, cwd=place, check=True, capture_output=True)

        assert outcome_of(place) == expected

    return f"| the default on real training, whole command | {died} | {sweeps} | {sweeps} |"


def outcome_of(folder: Path) -> tuple[Any, ...]:
    """Events, history and every byte of the version, but for times and the folder's name."""
    (sweep,) = (p.parent for p in (folder / "runs").glob("sweep-*/events.jsonl"))
    lines = [json.loads(line) for line in (sweep / "events.jsonl").read_text().splitlines()]
    events = [{k: v for k, v in line.items() if k not in ("time", "seconds")} for line in lines]
    state = State(str(folder / "state"))
    manifest = state.verify()
    assert state.versions() == [1]
    names = [n for n in manifest.files if n.split(".")[0] not in ("metrics", "config", "hpo")]
    rows = decode(bytes(state.read(manifest, "hpo.csv")))
    history = [{k: v for k, v in row.items() if k not in ("seconds", "sweep")} for row in rows]

    return events, history, {name: manifest.files[name].sha256 for name in names}


def workers(folder: Path) -> bool:
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            if b"renate.jobs" in command and (entry / "cwd").resolve().is_relative_to(folder):
                return True
        except OSError:
            continue
    return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", choices=("toys", "commands"), help="show one half, keep nothing")
    asked = parser.parse_args()

    with tempfile.TemporaryDirectory() as where:
        (Path(where) / "toys").mkdir()
        rows = [] if asked.only == "commands" else kill_toys(asked.kills, Path(where) / "toys")
        rows += [] if asked.only == "toys" else [kill_commands(asked.kills, Path(where))]

    print(rows[-1])
    if asked.only:
        return

    head = [
        "| sweep | kills | sweeps | of these equal to the undisturbed one |",
        "| --- | --- | --- | --- |",
    ]
    text = (
        f"`--kills {asked.kills}`: at random moments, `tuner.order=fixed`; a difference would have "
        "ended it."
    )
    write("sweep_kills", "Sweeps killed and resumed", text, [*head, *rows])


if __name__ == "__main__":
    main()
