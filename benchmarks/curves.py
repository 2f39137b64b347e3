"""Recorded learning curves, and a backend that plays them back on a simulated clock.

A tuner proposes what it likes, and gets the curve of the nearest recorded configuration (choices
equal, the learning rate nearest in its logarithm).
"""

import heapq
import json
import math
import tempfile
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from machine import RESULTS

from renate.build import build
from renate.tuning.base import COMPLETED
from renate.tuning.limits import Limits
from renate.tuning.space import Config, Domain, Space
from renate.tuning.sweep import Sweep
from renate.tuning.trial import End, Report, Trial

ROOT = Path(__file__).parents[1]
SPACE = Space(
    {
        "optimizer.lr": Domain("float", 1e-3, 0.5, log=True),
        "data.batch_size": Domain("choice", choices=("16", "32", "64", "128")),
        "updater.replay_batch_size": Domain("choice", choices=("16", "32", "64", "128")),
    }
)
DEFAULT = {"optimizer.lr": "0.05", "data.batch_size": "32", "updater.replay_batch_size": "32"}
WORKERS = 2
SEEDS = 60


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
            self.cells.setdefault(_cell(config), []).append(
                (math.log(float(config["optimizer.lr"])), index)
            )
        for cell in self.cells.values():
            cell.sort()

    @classmethod
    def read(cls, task: str) -> "Curves":
        found = json.loads((RESULTS / f"curves_{task}.json").read_text())
        return cls(
            found["configs"],
            np.array(found["val"]),
            np.array(found["test"]),
            np.array(found["seconds"]),
            found["warm"],
        )

    def nearest(self, config: Config) -> int:
        cell = self.cells[_cell(config)]
        lr = math.log(float(config["optimizer.lr"]))
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
        self.curves = curves
        self.seed = seed % curves.val.shape[1]
        self.seconds = seconds
        self.slots = slots
        self.now = 0.0
        self.epochs = 0
        self.heap: list[tuple[float, int, int]] = []
        self.of: dict[int, int] = {}
        self.gone: set[int] = set()
        # (time, validation, test) of completed trials
        self.found: list[tuple[float, float, float]] = []

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
            Sweep(
                proposer,
                stopper,
                replay,
                mode="max",
                order="arrival",
                limits=limits,
                log=Path(folder) / "log",
            ).run()

    return run
