"""Syne Tune's schedulers as proposers."""

import importlib
import logging
import os
import random
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from threadpoolctl import threadpool_limits

from renate.errors import ConfigError
from renate.libraries.numpy import OwnState
from renate.seeds import derive
from renate.tuning.base import COMPLETED, FAILED, Proposal, Proposer
from renate.tuning.engines.classes import load, make
from renate.tuning.pareto import Point
from renate.tuning.space import Config, Domain, Space

EPOCH = "epoch"
VALUE = "value"


class SyneTune(Proposer):
    """Whatever a Syne Tune scheduler of one metric suggests and stops.

    The scheduler sees a flat space, choices by index; keys that a choice doesn't bring along are
    left out of what it suggests, and drawn for what it is told to have been enqueued.

    Args:
        scheduler: Import path of the class, such as `syne_tune.optimizer.baselines.ASHA`, or of
            one's own.
        options: Its arguments, but for the space, the metric, the time, the seed and the first
            configurations.

    Raises:
        ConfigError: Syne Tune isn't installed, or has no such class.
    """

    def __init__(self, scheduler: str, options: Mapping[str, Any]) -> None:
        self.scheduler = scheduler
        self.options = options
        environment = dict(os.environ)

        try:
            self._class = load(scheduler, "syne_tune", "syne-tune")
            self.multi_objective = _is(self._class, "multiobjective.moasha", "MOASHA")
        finally:  # importing it sets OMP_NUM_THREADS=1, which the workers would inherit
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]

    def bind(
        self, space: Space, *, first: Sequence[Config], seed: int, steps: int, slots: int
    ) -> None:
        """Make the scheduler.

        Raises:
            ConfigError: It refuses an option.
        """
        super().bind(
            space, first=[c for c in first if space.fits(c)], seed=seed, steps=steps, slots=slots
        )
        # It warns of its own calls, and of failed trials
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        self._is_halving = self.multi_objective or _is(
            self._class, "asha", "AsynchronousSuccessiveHalving"
        )
        self.clones = self._is_population = _is(self._class, "pbt", "PopulationBasedTraining")
        self._further: dict[int, Point] = {}  # trial -> the other objectives
        self._trials: dict[int, Any] = {}
        self._reached: dict[int, int] = {}  # trial -> its last epoch
        self._unjudged: set[int] = set()  # clones that haven't reported yet
        self._failed: set[int] = set()
        self._lost: set[int] = set()  # those and the stopped
        number = derive(seed, "syne_tune") % 2**32
        self._random = OwnState(number)
        self._filler = random.Random(number)
        given = {
            "config_space": {key: _domain(domain) for key, domain in space.domains.items()},
            "metric": VALUE,
            "metrics": [VALUE, *map(str, range(1, self.objectives))],
            "do_minimize": True,
            "time_attr": EPOCH,
            "max_t": steps,
            "random_seed": number,
        }
        if self._is_population:
            given["population_size"] = slots

        with self._own_random():
            self._engine = self._make(given)

    def _make(self, given: Mapping[str, Any]) -> Any:
        return make(self._class, given, self.options)

    @contextmanager
    def _own_random(self) -> Iterator[None]:
        """Domains are sampled by numpy's global generator: lend it a state of ours, or nothing
        repeats.
        """
        with self._random.lent(), warnings.catch_warnings():
            # Statsmodels': of just this generator, of densities of one value
            warnings.simplefilter("ignore")
            yield

    def ask(self, trial: int) -> Proposal | None:
        """Return the next of the first configurations, of which the scheduler is told as well, then
        what it suggests.

        Raises:
            ConfigError: See `propose`.
        """
        # Not by `points_to_evaluate`: not every scheduler takes it, and none checks what it holds.
        if trial < len(self.first):
            self._add(trial, self._flat(self.first[trial]))
            return Proposal(self.first[trial], "enqueued")
        return self.propose(trial)

    def _flat(self, config: Config) -> dict[str, Any]:
        """A configuration as the scheduler has it; what is inactive is drawn."""
        filled = {
            k: config[k] if k in config else d.sample(self._filler)
            for k, d in self.space.domains.items()
        }
        return {key: _value(self.space.domains[key], text) for key, text in filled.items()}

    def propose(self, trial: int) -> Proposal | None:
        """Return what the scheduler suggests.

        None of population-based training may be for now: ask again when a trial has ended.

        Raises:
            ConfigError: It wants to resume a trial that it had paused.
        """
        if self._is_population and not self._may_grow():
            return None

        # One thread: models are small, and those of the running trials would be waited for (BORE: 9
        # times slower).
        with self._own_random(), threadpool_limits(1):
            suggestion = self._engine.suggest()

        if suggestion is None:
            return None
        if not suggestion.spawn_new_trial_id:
            raise ConfigError(
                f"{self.scheduler} pauses trials and resumes them: only stopping is supported"
            )

        self._add(trial, suggestion.config)
        numbers = {
            key: domain.text(float(suggestion.config[key]))
            for key, domain in self.space.domains.items()
        }
        config = self.space.active(numbers)
        parent = suggestion.checkpoint_trial_id
        if parent is None:
            return Proposal(config)

        self._unjudged.add(trial)

        return Proposal(config, f"clone:{parent}", parent)

    def _add(self, trial: int, flat: dict[str, Any]) -> None:
        from syne_tune.backend.trial_status import Trial

        self._trials[trial] = Trial(trial, flat, datetime.now())
        with self._own_random():
            self._engine.on_trial_add(self._trials[trial])

    def _may_grow(self) -> bool:
        """Whether a clone waits or the population lacks a member; the scheduler itself goes on
        with fresh trials.
        """
        waiting = self._engine.trial_decisions_stack
        self._engine.trial_decisions_stack = deque(
            # Of a failed parent there may be no weights, of a completed one there is nothing left
            # to train.
            (parent, flat)
            for parent, flat in waiting
            if parent not in self._failed and self._reached[parent] < self.steps
        )
        members = len(self._trials) - len(self._lost)
        return bool(self._engine.trial_decisions_stack) or members < self._engine.population_size

    def report_secondary(self, trial: int, values: Point) -> None:
        """Keep the further objectives' values, which go along with the trial's next result."""
        self._further[trial] = values

    def _result(self, trial: int, step: int, value: float | None) -> dict[str, Any]:
        further = {str(k): other for k, other in enumerate(self._further.get(trial, ()), 1)}
        return {EPOCH: step, VALUE: value} | further

    def report(self, trial: int, step: int, value: float) -> bool:
        """Give the scheduler a result; True where it doesn't let the trial go on, unless at its
        last epoch.
        """
        # A clone was perturbed when it began: without this, its first epoch is judged
        if trial in self._unjudged:
            self._unjudged.remove(trial)
            self._engine.trial_state[trial].last_perturbation_time = step - 1

        self._reached[trial] = step
        with self._own_random():
            decision = self._engine.on_trial_result(
                self._trials[trial], self._result(trial, step, value)
            )

        # At the last step a scheduler says "stop" to what has completed.
        return step < self.steps and str(decision) != "CONTINUE"

    def end(self, trial: int, status: str, value: float | None) -> None:
        """Tell the scheduler how a trial ended; a successive halving also forgets what a failed one
        reported.
        """
        ended = self._trials[trial]
        with self._own_random():
            if status == COMPLETED:
                last = self._reached.get(trial, self.steps)
                self._engine.on_trial_complete(ended, self._result(trial, last, value))
            elif status == FAILED:
                self._engine.on_trial_error(ended)
            else:
                self._engine.on_trial_remove(ended)

        if status != COMPLETED:
            self._lost.add(trial)
            if self._is_population:
                self._engine.trial_state[trial].stopped = True  # or it is cloned later

        if status == FAILED:
            self._failed.add(trial)
            if self._is_halving:
                self._forget(trial)

    def _forget(self, trial: int) -> None:
        """Drop what a failed trial reported: others would be compared with it to the end."""
        self._engine.trial_info.pop(trial, None)
        for bracket in self._engine.brackets:
            for _, recorded in bracket.rungs:
                recorded.pop(trial, None)
        searcher = getattr(self._engine, "searcher", None)  # MOASHA has none
        getattr(searcher, "trial_results", {}).pop(trial, None)


def _is(found: type[Any], module: str, name: str) -> bool:
    base = getattr(importlib.import_module(f"syne_tune.optimizer.schedulers.{module}"), name)
    return issubclass(found, base)


def _domain(domain: Domain) -> Any:
    from syne_tune import config_space

    # Models divide by the width
    if domain.size == 1 or (domain.kind == "float" and domain.low == domain.high):
        return _value(domain, domain.text(0 if domain.kind == "choice" else domain.low))
    if domain.kind == "choice":  # by index: it has no types, no nulls, no lists
        return config_space.choice([str(index) for index in range(len(domain.choices))])
    if domain.kind == "int":
        return (config_space.lograndint if domain.log else config_space.randint)(
            int(domain.low), int(domain.high)
        )

    return (config_space.loguniform if domain.log else config_space.uniform)(
        domain.low, domain.high
    )


def _value(domain: Domain, text: str) -> str | float:
    """A value as the scheduler has it."""
    number = domain.number(text)
    if domain.kind == "choice":
        return str(int(number))
    if domain.kind == "int":
        return int(number)
    return number
