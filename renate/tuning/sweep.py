"""The event loop of a sweep: asks for trials, watches them, stops the bad ones, and can be
killed at any time.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from renate.errors import ConfigError
from renate.tuning.base import COMPLETED, FAILED, STOPPED, Proposer, Stopper
from renate.tuning.ledger import Ledger
from renate.tuning.limits import Limits
from renate.tuning.objectives import Objectives
from renate.tuning.on_disk.events import Asked, Ended, EventLog, Reported
from renate.tuning.trial import RUNNING, Backend, End, Report, Trial
from renate.tuning.turns import Turns, turn_of

REPEATS = 50  # known configurations in a row after which a proposer has nothing new


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
        secondary: The same of further objectives.

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
        secondary: Sequence[str] = (),
    ) -> None:
        self.backend = backend
        self.ledger = Ledger(proposer, stopper, Objectives(mode, secondary))
        self.fixed = order == "fixed"
        self.turns = Turns(self.ledger.running)
        self.limits = limits
        self.tell = lambda trial: None
        self.path = log
        self.log = EventLog(log)
        self.waiting: dict[int, deque[Report | End]] = {}
        self.before = max((event.time for event in self.log.earlier), default=0.0)
        self.began = backend.clock()
        self.over = False
        self.why = ""

    @property
    def trials(self) -> list[Trial]:
        """All trials, in the order in which they were asked for."""
        return self.ledger.trials

    @property
    def best(self) -> Trial | None:
        """The best completed trial so far."""
        return self.ledger.best

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
            for trial in list(self.ledger.running.values()):
                if trial.twin is None:
                    self.turns.note(trial)
                    self.backend.start(trial)

            self._fill()
            while self.ledger.running:
                event = self._next()
                if event is not None:
                    self._take(event)
                self._check_time()
                self._fill()
        finally:
            self.log.close()
        return self.ledger.trials

    def _fill(self) -> None:
        repeats = 0
        while not self.over and len(self.ledger.running) < self.backend.slots:
            if (
                self.limits.max_trials is not None
                and len(self.ledger.trials) >= self.limits.max_trials
            ):
                self.why = f"max_trials={self.limits.max_trials}"
                return

            trial = self.ledger.ask()
            if trial is None:
                self.why = "the space has nothing new"
                return

            self.log.write(Asked(trial.id, trial.config, trial.source, self._now()))
            self.tell(trial)
            if trial.twin is None:
                repeats = 0
                self.turns.note(trial)
                self.backend.start(trial)
            else:
                repeats += 1
                if self.ledger.trials[trial.twin].status != RUNNING:
                    self._end_twin(trial)

            if repeats >= REPEATS:
                self.over = True
                self.why = f"nothing new in {REPEATS} proposals"

    def _next(self) -> Report | End | None:
        """The next event of a trial that still runs."""
        if not self.fixed:
            event = self.backend.next(self._time_left())
            if event is not None and event.trial in self.ledger.running:
                return event
            return None

        first = self.turns.first()
        while not self.waiting.get(first.id):
            event = self.backend.next(self._time_left())
            if event is None:
                return None
            trial = self.ledger.running.get(event.trial)
            if trial is not None and not (isinstance(event, Report) and event.step <= trial.step):
                self.waiting.setdefault(event.trial, deque()).append(event)

        self.ledger.now = turn_of(first)

        return self.waiting[first.id].popleft()

    def _time_left(self) -> float | None:
        """How many seconds the backend may wait for an event; None is as long as it likes."""
        if self.limits.max_time is None:
            return None
        return max(0.05, self.limits.max_time - self.elapsed())

    def _take(self, event: Report | End) -> None:
        trial = self.ledger.running[event.trial]
        if isinstance(event, Report):
            if event.step <= trial.step:  # said again after a kill
                return

            trial.taken += 1
            self.turns.note(trial)
            values = (event.value, *event.secondary)
            if not all(map(math.isfinite, values)):
                said = ", ".join(map(str, values))
                self.backend.stop(trial)
                self._end(trial, FAILED, None, f"the objective is {said} at epoch {event.step}")
                return

            stop = self.ledger.report(trial, event.step, event.value, event.secondary)
            self.log.write(
                Reported(trial.id, event.step, event.value, stop, event.secondary, self._now())
            )
            self.tell(trial)
            if stop:
                self.backend.stop(trial)
                self._end(trial, STOPPED, trial.value, None)

            return

        trial.seconds = event.seconds
        trial.taken = trial.taken + 1
        trial.secondary = event.secondary or trial.secondary

        if event.status == COMPLETED and (event.value is None or not math.isfinite(event.value)):
            self._end(trial, FAILED, None, f"the objective is {event.value}")
        else:
            self._end(trial, event.status, event.value, event.error)

    def front(self) -> list[Trial]:
        """Of several objectives, the completed trials that no other beats in all of them; of
        one, the best.
        """
        return self.ledger.objectives.front(self.ledger.trials)

    def _end(self, trial: Trial, status: str, value: float | None, error: str | None) -> None:
        seconds = round(trial.seconds, 3)
        self.log.write(Ended(trial.id, status, value, seconds, error, trial.secondary, self._now()))
        self.ledger.end(trial, status, value, error)
        self.tell(trial)
        for twin in self.ledger.twins.pop(trial.id, []):
            self._end_twin(twin)

        self._check_counts()

    def _end_twin(self, twin: Trial) -> None:
        assert twin.twin is not None
        same = self.ledger.trials[twin.twin]
        twin.secondary = same.secondary
        self._end(twin, same.status, same.value, same.error)

    def _check_counts(self) -> None:
        reached = self.limits.reached_by(self.ledger.ended, self.ledger.spent, self.ledger.trials)
        if reached is not None:
            self._finish(reached)

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
        for trial in list(self.ledger.running.values()):
            if trial.id in self.ledger.running and trial.twin is None:
                self.backend.stop(trial)
                self._end(trial, STOPPED, trial.value, f"the sweep ended: {why}")

    def _repeat(self) -> None:
        """Do again, without running anything, what the log says."""
        for event in self.log.earlier:
            if isinstance(event, Asked):
                self._ask_again(event)
            elif isinstance(event, Reported):
                self._report_again(event)
            else:
                self._end_again(event)

        doomed = {e.trial for e in self.log.earlier if isinstance(e, Reported) and e.stop}
        # Killed between the decision and its end
        for trial in [t for t in self.ledger.running.values() if t.id in doomed]:
            self._end(trial, STOPPED, trial.value, None)

        self._check_counts()

    def _ask_again(self, event: Asked) -> None:
        trial = self.ledger.ask()
        if trial is None:
            self._same("ask", None, event.trial)
        else:
            self._same("config", trial.config, event.config)

    def _report_again(self, event: Reported) -> None:
        trial = self.ledger.trials[event.trial]
        trial.taken += 1
        self.ledger.now = trial.start + trial.taken
        stop = self.ledger.report(trial, event.step, event.value, event.secondary)
        self._same("stop", stop, event.stop)

    def _end_again(self, event: Ended) -> None:
        trial = self.ledger.trials[event.trial]
        trial.seconds = event.seconds
        trial.secondary = event.secondary
        if trial.twin is None and (event.status == COMPLETED or event.error):
            trial.taken += 1
            self.ledger.now = trial.start + trial.taken

        self.ledger.end(trial, event.status, event.value, event.error)

    def _same(self, key: str, now: object, then: object) -> None:
        if now != then:
            raise ConfigError(
                f"{self.path}: repeating the sweep gives {key}={now} where it was {then}: "
                "the tuner or its version has changed; resume=false starts over"
            )

    def _now(self) -> float:
        return round(self.elapsed(), 3)
