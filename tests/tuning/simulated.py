"""A backend on a simulated clock: trials that only pretend to train."""

import heapq
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from renate.tuning.base import COMPLETED, FAILED, Proposer, Stopper
from renate.tuning.limits import Limits
from renate.tuning.proposers import Random
from renate.tuning.space import Config, Domain, Space
from renate.tuning.stoppers import Halving
from renate.tuning.sweep import Sweep
from renate.tuning.trial import End, Report, Trial

SPACE = Space(
    {
        "updater": Domain("choice", choices=("er", "derpp")),
        "lr": Domain("float", 1e-4, 1.0, log=True),
        "alpha": Domain("float", 0.0, 1.0),
        "size": Domain("int", 1, 8),
    },
    {"alpha": ("updater", frozenset({"derpp"}))},
)
EPOCHS = 9
NO_LIMITS = Limits(None, None, None, None, None, None, 0.0)


class Killed(Exception):  # noqa: N818 (a signal, no error)
    """The sweep's process dies."""


def accuracy(config: Config, step: int) -> float:
    """Better for a learning rate near 0.05, for derpp with a high alpha, and later."""
    distance = abs(math.log10(float(config["lr"])) + 1.3)
    return 1.0 - 0.2 * distance + 0.05 * float(config.get("alpha", 0.0)) - 0.3 / step


class Simulated:
    """Reports accuracy(config, epoch); an epoch takes a time that depends on the trial.

    Args:
        slots: Trials at a time.
        pace: Trial's number -> seconds per epoch.
        dies: Raise Killed at the event of this number.
        value: (config, epoch) -> what is reported; raising fails the trial.
    """

    def __init__(
        self,
        slots: int = 2,
        pace: Callable[[int], float] = lambda trial: 1.0 + 0.37 * (trial % 3),
        dies: int | None = None,
        value: Callable[[Config, int], float] = accuracy,
        epochs: int = EPOCHS,
    ) -> None:
        self.slots = slots
        self.pace = pace
        self.dies = dies
        self.value = value
        self.epochs = epochs
        self.heap: list[tuple[float, int, int]] = []
        self.configs: dict[int, Config] = {}
        self.stopped: set[int] = set()
        self.now = 0.0
        self.events = 0
        self.started = 0

    def clock(self) -> float:
        return self.now

    def start(self, trial: Trial) -> None:
        self.started += 1
        self.configs[trial.id] = trial.config
        heapq.heappush(self.heap, (self.now + self.pace(trial.id), trial.id, 1))

    def stop(self, trial: Trial) -> None:
        self.stopped.add(trial.id)

    def next(self, timeout: float | None) -> Report | End | None:
        self.events += 1
        if self.events == self.dies:
            raise Killed
        self.now, trial, step = heapq.heappop(self.heap)
        if trial in self.stopped:
            return None
        try:
            if step > self.epochs:
                return End(
                    trial,
                    COMPLETED,
                    self.value(self.configs[trial], self.epochs),
                    self.pace(trial) * self.epochs,
                )
            value = self.value(self.configs[trial], step)
        except RuntimeError as error:
            return End(trial, FAILED, None, step * self.pace(trial), str(error))
        later = self.pace(trial) if step < self.epochs else 1e-6
        heapq.heappush(self.heap, (self.now + later, trial, step + 1))
        return Report(trial, step, value)


def halving() -> Halving:
    return Halving(factor=3, grace=1, brackets=1, bar=False)


def sweep_of(
    log: Path,
    backend: Simulated,
    proposer: Proposer | None = None,
    stopper: Stopper | None = None,
    *,
    space: Space = SPACE,
    first: tuple[Config, ...] = (),
    trials: int | None = 20,
    order: str = "fixed",
    seed: int = 0,
    enqueued: int = 0,
    **limits: Any,
) -> Sweep:
    proposer = proposer or Random()
    stopper = stopper or halving()
    proposer.bind(space, first=first, seed=seed, steps=backend.epochs, slots=backend.slots)
    stopper.bind(steps=backend.epochs, seed=seed, enqueued=enqueued, warm=False)
    bounds = Limits(**({**vars(NO_LIMITS), "max_trials": trials} | limits))
    return Sweep(proposer, stopper, backend, mode="max", order=order, limits=bounds, log=log)


def outcome(trials: list[Trial]) -> list[tuple[Any, ...]]:
    return [(t.id, t.config, t.source, t.status, t.step, t.value, tuple(t.curve)) for t in trials]
