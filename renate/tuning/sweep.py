"""The event loop of a sweep: asks for trials, watches them, stops the bad ones, and can be
killed at any time.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from renate.errors import ConfigError
from renate.tuning.base import COMPLETED, FAILED, STOPPED, Proposer, Stopper
from renate.tuning.events import EventLog
from renate.tuning.pareto import ranks
from renate.tuning.space import Config

RUNNING = "running"
REPEATS = 50  # known configurations in a row after which a proposer has nothing new


@dataclass
class Trial:
    """One configuration, and what it came to.

    Attributes:
        value: The best value reported, of a completed trial its final one; as measured, not turned.
        step: The last epoch reported.
        parent: Of a clone, the trial that it goes on from.
        since: The epoch of its parent after which it does.
        twin: The earlier trial of the same configuration whose outcome is this one's as well.
        start: Where in the logical order of events it began (`order=fixed`).
        others: Of several objectives, the further ones' values at the epoch of `value`; as
            measured.
    """

    id: int
    config: Config
    source: str
    parent: int | None = None
    since: int = 0
    status: str = RUNNING
    step: int = 0
    value: float | None = None
    curve: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    twin: int | None = None
    start: int = 0
    taken: int = 0
    others: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """A running trial has finished an epoch."""

    trial: int
    step: int
    value: float
    others: tuple[float, ...] = ()


@dataclass(frozen=True)
class End:
    """A trial has ended by itself: completed with its final value, or failed."""

    trial: int
    status: str
    value: float | None
    seconds: float
    error: str | None = None
    others: tuple[float, ...] = ()  # where they are known at the end only


class Backend(Protocol):
    """Where trials run."""

    slots: int

    def start(self, trial: Trial) -> None:
        """Begin, or go on after a kill: reports up to `trial.step` are known already and may
        come again.
        """

    def stop(self, trial: Trial) -> None:
        """Told once that a trial isn't worth finishing, or has failed; what it still says is
        ignored.
        """

    def next(self, timeout: float | None) -> Report | End | None:
        """Wait for the next event of any trial; None where none came in time."""

    def clock(self) -> float:
        """Seconds since some moment."""


@dataclass(frozen=True)
class Limits:
    """When a sweep ends; None is never.

    Attributes:
        max_trials: Trials started.
        max_trials_completed: Trials that ran to their end.
        max_trials_finished: Trials that ended in whatever way.
        max_failures: Failed trials; one more ends the sweep with an error.
        max_time: Seconds, those before a kill included.
        max_cost: The same currency as `price`.
        price: Cost of an hour of one trial.
    """

    max_trials: int | None
    max_trials_completed: int | None
    max_trials_finished: int | None
    max_failures: int | None
    max_time: float | None
    max_cost: float | None
    price: float


class Sweep:
    """Drives proposer and stopper over a backend.

    Args:
        proposer: Bound.
        stopper: Bound.
        backend: Runs the trials.
        mode: `max` or `min`, of the objective that decides.
        order: `arrival` takes events as they come; `fixed` in a logical order, so that the sweep is
            the same whatever was slow or killed.
        limits: When to end.
        log: Path of the event log; what is in it already is repeated first.
        others: The same of further objectives.

    Attributes:
        tell: Takes each trial after each change, for displays.
    """

    tell: Callable[[Trial], None]

    def __init__(
        self,
        proposer: Proposer,
        stopper: Stopper,
        backend: Backend,
        *,
        mode: str,
        order: str,
        limits: Limits,
        log: Path,
        others: Sequence[str] = (),
    ) -> None:
        self.proposer = proposer
        self.stopper = stopper
        self.backend = backend
        self.sign = 1.0 if mode == "min" else -1.0
        self.fixed = order == "fixed"
        self.limits = limits
        self.tell = lambda trial: None
        self.path = log
        self.log = EventLog(log)
        self.signs = [1.0 if other == "min" else -1.0 for other in others]
        self.trials: list[Trial] = []
        self.running: dict[int, Trial] = {}
        self.known: dict[tuple[Any, ...], int] = {}
        self.twins: dict[int, list[Trial]] = {}
        self.ended: Counter[str] = Counter()
        # The best completed trial, as `winner.best_of` finds it in the log
        self.best: Trial | None = None
        self.spent = 0.0  # seconds of all trials that have ended
        self.waiting: dict[int, deque[Report | End]] = {}
        self.before = max((float(e["time"]) for e in self.log.earlier), default=0.0)
        self.began = backend.clock()
        self.now = 0
        self.over = False
        self.why = ""

    def elapsed(self) -> float:
        """Return the seconds that the sweep has run, those before it was interrupted among them."""
        return self.before + self.backend.clock() - self.began

    def run(self) -> list[Trial]:
        """Return all trials once the sweep is over.

        Raises:
            ConfigError: The log is of another version of the code or the tuner.
        """
        try:
            self._repeat()
            for trial in list(self.running.values()):
                if trial.twin is None:
                    self.backend.start(trial)

            self._fill()
            while self.running:
                event = self._next()
                if event is not None:
                    self._take(event)
                self._check_time()
                self._fill()
        finally:
            self.log.close()
        return self.trials

    def _fill(self) -> None:
        repeats = 0
        while not self.over and len(self.running) < self.backend.slots:
            if self.limits.max_trials is not None and len(self.trials) >= self.limits.max_trials:
                self.why = f"max_trials={self.limits.max_trials}"
                return

            trial = self._ask()
            if trial is None:
                self.why = "the space has nothing new"
                return

            self._write(ask=trial.id, config=trial.config, source=trial.source)
            repeats = repeats + 1 if trial.twin is not None else 0
            self.tell(trial)
            if trial.twin is None:
                self.backend.start(trial)
            elif self.trials[trial.twin].status != RUNNING:
                self._end_twin(trial)

            if repeats >= REPEATS:
                self.over = True
                self.why = f"nothing new in {REPEATS} proposals"

    def _ask(self) -> Trial | None:
        proposal = self.proposer.ask(len(self.trials))
        if proposal is None:
            return None

        trial = Trial(
            len(self.trials), proposal.config, proposal.source, proposal.parent, start=self.now
        )
        if trial.parent is not None:
            parent = self.trials[trial.parent]
            if parent.status in (COMPLETED, FAILED):
                raise ConfigError(
                    f"tuner.proposer: trial {trial.id} would be a clone of trial {parent.id}, "
                    f"which {parent.status}; "
                    "only what runs or was stopped can be cloned"
                )

            trial.since = trial.step = parent.step

        key = (*sorted(trial.config.items()), (trial.parent, trial.since))
        trial.twin = self.known.setdefault(key, trial.id)
        if trial.twin == trial.id:
            trial.twin = None
        elif trial.twin in self.running:
            self.twins.setdefault(trial.twin, []).append(trial)

        self.trials.append(trial)
        self.running[trial.id] = trial

        return trial

    def _next(self) -> Report | End | None:
        """The next event of a trial that still runs."""
        if not self.fixed:
            event = self.backend.next(self._patience())
            return event if event is not None and event.trial in self.running else None

        first = min(
            (t for t in self.running.values() if t.twin is None),
            key=lambda t: (t.start + t.taken + 1, t.id),
        )
        while not self.waiting.get(first.id):
            event = self.backend.next(self._patience())
            if event is None:
                return None
            trial = self.running.get(event.trial)
            if trial is not None and not (isinstance(event, Report) and event.step <= trial.step):
                self.waiting.setdefault(event.trial, deque()).append(event)

        self.now = first.start + first.taken + 1

        return self.waiting[first.id].popleft()

    def _patience(self) -> float | None:
        return (
            None
            if self.limits.max_time is None
            else max(0.05, self.limits.max_time - self.elapsed())
        )

    def _take(self, event: Report | End) -> None:
        trial = self.running[event.trial]
        if isinstance(event, Report):
            if event.step <= trial.step:  # said again after a kill
                return

            trial.taken += 1
            if not all(map(math.isfinite, (event.value, *event.others))):
                values = ", ".join(map(str, (event.value, *event.others)))
                self.backend.stop(trial)
                self._end(trial, FAILED, None, f"the objective is {values} at epoch {event.step}")
                return

            stop = self._report(trial, event.step, event.value, event.others)
            said = {"others": event.others} if event.others else {}
            self._write(report=trial.id, step=event.step, value=event.value, stop=stop, **said)
            self.tell(trial)
            if stop:
                self.backend.stop(trial)
                self._end(trial, STOPPED, trial.value, None)

            return

        trial.seconds = event.seconds
        trial.taken = trial.taken + 1
        trial.others = event.others or trial.others

        if event.status == COMPLETED and (event.value is None or not math.isfinite(event.value)):
            self._end(trial, FAILED, None, f"the objective is {event.value}")
        else:
            self._end(trial, event.status, event.value, event.error)

    def _report(self, trial: Trial, step: int, value: float, others: Sequence[float] = ()) -> bool:
        if trial.value is None or self.sign * value < self.sign * trial.value:
            trial.value = value
            trial.others = tuple(others)

        trial.step = step
        trial.curve.append((step, value))
        if others:
            turned = self._turned(others)
            self.proposer.others(trial.id, turned)
            self.stopper.others(trial.id, turned)

        proposer = self.proposer.report(trial.id, step, self.sign * value)
        reached = value if others else float(trial.value)

        return self.stopper.report(trial.id, step, self.sign * reached) or proposer

    def _rank(self, trial: Trial) -> tuple[float, ...]:
        """The objective decides, then the further ones, then who was asked first: not who was
        quicker to end.
        """
        return (self.sign * float(trial.value or 0.0), *self._turned(trial.others), trial.id)

    def _turned(self, others: Sequence[float]) -> tuple[float, ...]:
        return tuple(sign * value for sign, value in zip(self.signs, others, strict=True))

    def front(self) -> list[Trial]:
        """Of several objectives, the completed trials that no other beats in all of them; of
        one, the best.
        """
        done = [
            t
            for t in self.trials
            if t.status == COMPLETED and t.twin is None and t.value is not None
        ]
        points = [(self.sign * float(t.value or 0.0), *self._turned(t.others)) for t in done]
        return [trial for trial, rank in zip(done, ranks(points), strict=True) if rank == 0]

    def _end(self, trial: Trial, status: str, value: float | None, error: str | None) -> None:
        said = {"others": trial.others} if trial.others else {}
        self._write(
            end=trial.id,
            status=status,
            value=value,
            seconds=round(trial.seconds, 3),
            error=error,
            **said,
        )
        self._ended(trial, status, value, error)
        self.tell(trial)
        for twin in self.twins.pop(trial.id, []):
            self._end_twin(twin)

        self._check_counts()

    def _end_twin(self, twin: Trial) -> None:
        assert twin.twin is not None
        same = self.trials[twin.twin]
        twin.others = same.others
        self._end(twin, same.status, same.value, same.error)

    def _ended(self, trial: Trial, status: str, value: float | None, error: str | None) -> None:
        trial.status = status
        trial.value = value
        trial.error = error
        del self.running[trial.id]
        self.ended[status] += 1
        self.spent += trial.seconds

        if (
            status == COMPLETED
            and trial.twin is None
            and (self.best is None or self._rank(trial) < self._rank(self.best))
        ):
            self.best = trial

        if trial.others:
            self.proposer.others(trial.id, self._turned(trial.others))

        self.proposer.end(trial.id, status, None if value is None else self.sign * value)
        self.stopper.end(trial.id, status)

    def _check_counts(self) -> None:
        limits = self.limits
        count = self.ended
        if limits.max_failures is not None and count[FAILED] > limits.max_failures:
            last = next(t for t in reversed(self.trials) if t.status == FAILED)
            self._finish(
                f"more than max_failures={limits.max_failures} trials failed; the last: "
                f"{last.error}"
            )

        if (
            limits.max_trials_completed is not None
            and count[COMPLETED] >= limits.max_trials_completed
        ):
            self._finish(f"max_trials_completed={limits.max_trials_completed}")

        if limits.max_trials_finished is not None and count.total() >= limits.max_trials_finished:
            self._finish(f"max_trials_finished={limits.max_trials_finished}")
        if limits.max_cost is not None and self.spent * limits.price / 3600 >= limits.max_cost:
            self._finish(f"max_cost={limits.max_cost:g}")

    def _check_time(self) -> None:
        if (
            self.limits.max_time is not None
            and not self.over
            and self.elapsed() >= self.limits.max_time
        ):
            self._finish(f"max_time={self.limits.max_time:g}")

    def _finish(self, why: str) -> None:
        """Ask for no more trials, and stop those that run."""
        if self.over:
            return

        self.over = True
        self.why = why
        for trial in list(self.running.values()):
            if trial.id in self.running and trial.twin is None:
                self.backend.stop(trial)
                self._end(trial, STOPPED, trial.value, f"the sweep ended: {why}")

    def _repeat(self) -> None:
        """Do again, without running anything, what the log says."""
        for event in self.log.earlier:
            if "ask" in event:
                trial = self._ask()
                said = {
                    "ask": None if trial is None else trial.id,
                    "config": trial and trial.config,
                }
                self._same(said, event)
            elif "report" in event:
                trial = self.trials[event["report"]]
                trial.taken += 1
                self.now = trial.start + trial.taken
                stop = self._report(trial, event["step"], event["value"], event.get("others", ()))
                self._same({"stop": stop}, event)
            else:
                trial = self.trials[event["end"]]
                trial.seconds = event["seconds"]
                trial.others = tuple(event.get("others", ()))
                if trial.twin is None and (event["status"] == COMPLETED or event["error"]):
                    trial.taken += 1
                    self.now = trial.start + trial.taken
                self._ended(trial, event["status"], event["value"], event["error"])

        doomed = {event["report"] for event in self.log.earlier if event.get("stop")}
        # Killed between the decision and its end
        for trial in [t for t in self.running.values() if t.id in doomed]:
            self._end(trial, STOPPED, trial.value, None)

        self._check_counts()

    def _same(self, now: dict[str, Any], then: dict[str, Any]) -> None:
        for key, value in now.items():
            if value != then[key]:
                raise ConfigError(
                    f"{self.path}: repeating the sweep gives {key}={value} where it was "
                    f"{then[key]}: the tuner or its "
                    "version has changed; resume=false starts over"
                )

    def _write(self, **event: Any) -> None:
        self.log.write(**event, time=round(self.elapsed(), 3))
