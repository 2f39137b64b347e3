"""Optuna's samplers and pruners as proposers."""

import math
import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from renate.errors import ConfigError
from renate.seeds import derive
from renate.tuning.base import COMPLETED, FAILED, STOPPED, Proposal, Proposer
from renate.tuning.engines.classes import load, make
from renate.tuning.engines.optuna_storage import open_storage
from renate.tuning.engines.optuna_study import name_of, param_of, params_of, quiet
from renate.tuning.pareto import Point
from renate.tuning.space import Config, Domain, Space

if TYPE_CHECKING:
    import optuna

OWNER, ENQUEUED = "renate_owner", "renate_enqueued"  # what a trial of a study says of itself


class Optuna(Proposer):
    """Whatever an Optuna sampler suggests, and an Optuna pruner stops.

    Keys are asked for in the order of the space, a conditional one where it is active. In memory a
    study is as deterministic as its sampler. In a storage several machines share it, and nothing
    repeats.

    Args:
        sampler: Import path of the class, such as `optuna.samplers.TPESampler`, or of one's own.
        pruner: The same of the pruner; null: nothing is stopped.
        storage: null: in memory. `sqlite:///…` or `postgresql://…`: a database. Else: a journal
            file, made if absent.
        options: The sampler's arguments, but for the seed.
        pruner_options: The pruner's arguments.

    Raises:
        ConfigError: Optuna isn't installed, or has no such class.
    """

    def __init__(
        self,
        sampler: str,
        pruner: str | None,
        storage: str | None,
        options: Mapping[str, Any],
        pruner_options: Mapping[str, Any],
    ) -> None:
        self.sampler = sampler
        self.pruner = pruner
        self.storage = storage
        self.options = options
        self.pruner_options = pruner_options
        self._sampler_class = load(sampler, "optuna", "optuna")
        if pruner is None:
            pruner = "optuna.pruners.NopPruner"
        self._pruner_class = load(pruner, "optuna", "optuna")

    multi_objective = True

    def bind(
        self, space: Space, *, first: Sequence[Config], seed: int, steps: int, slots: int
    ) -> None:
        """Make the study, or join the one of the storage.

        Trials of the storage that a dead process of this machine was running are told to have
        failed, and enqueued.

        Raises:
            ConfigError: The sampler or the pruner refuses an option, or the storage can't be
                opened.
        """
        import optuna

        super().bind(
            space, first=[c for c in first if space.fits(c)], seed=seed, steps=steps, slots=slots
        )
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # the sweep says what happens
        self._trials: dict[int, optuna.Trial] = {}
        self._exhausted = False
        self._secondary: dict[int, Point] = {}

        with quiet():
            given: dict[str, Any] = {"seed": derive(seed, "optuna") % 2**32}
            if space.finite:  # a grid asks for every value beforehand
                given["search_space"] = {
                    key: [param_of(domain, text) for text in domain.values()]
                    for key, domain in space.domains.items()
                }

            self._study = optuna.create_study(
                # Hyperband draws brackets from the name; a study that has seen another space
                # refuses this one.
                study_name=name_of(space) + (f"-{self.objectives}" if self.objectives > 1 else ""),
                storage=open_storage(self.storage) if self.storage is not None else None,
                sampler=make(self._sampler_class, given, self.options),
                pruner=make(self._pruner_class, {"max_resource": steps}, self.pruner_options),
                load_if_exists=True,
                directions=["minimize"] * self.objectives,
            )
            self._bury()
            for config in self.first:
                self._study.enqueue_trial(
                    params_of(space, config),
                    user_attrs={ENQUEUED: True},
                    skip_if_exists=self.storage is not None,
                )

    def _bury(self) -> None:
        """End the trials that no living process runs: samplers steer clear of what still runs."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            host, _, pid = str(trial.user_attrs.get(OWNER, "")).rpartition(":")
            if host == socket.gethostname() and not _is_alive(int(pid)):
                self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                self._study.enqueue_trial(trial.params, user_attrs={ENQUEUED: True})

    def ask(self, trial: int) -> Proposal | None:
        """Return the study's next proposal, enqueued ones first.

        Raises:
            ConfigError: See `propose`.
        """
        return self.propose(trial)  # the study has been told what comes first

    def propose(self, trial: int) -> Proposal | None:
        """Return what the study asks for next, as `enqueued` where it was; None once the sampler
        has nothing left.

        Raises:
            ConfigError: The sampler can't draw the value of a key.
        """
        if self._exhausted:
            return None

        config: Config = {}
        with quiet(), threadpool_limits(1):  # the cores are the trials'
            asked = self._study.ask()
            asked.set_user_attr(OWNER, f"{socket.gethostname()}:{os.getpid()}")
            for key, domain in self.space.domains.items():
                if self.space.is_active(key, config):
                    try:
                        config[key] = _suggest(asked, key, domain)
                    except ValueError as error:
                        raise ConfigError(f"{self._sampler_class.__name__}: {error}") from error

        self._trials[trial] = asked
        if ENQUEUED not in asked.user_attrs:
            return Proposal(config)

        same = (c for c in self.first if params_of(self.space, c) == asked.params)

        return Proposal(next(same, config), "enqueued")

    def report_secondary(self, trial: int, values: Point) -> None:
        """Keep the further objectives' values, for the study to be told when the trial has
        completed.
        """
        self._secondary[trial] = values

    def report(self, trial: int, step: int, value: float) -> bool:
        """Tell the study of a value; True where its pruner stops the trial before its last epoch;
        of several objectives nothing is told, and no trial stopped.
        """
        if self.objectives > 1:  # Optuna prunes by one objective only
            return False
        with quiet():
            self._trials[trial].report(value, step)
            return step < self.steps and bool(self._trials[trial].should_prune())

    def _values(self, trial: int, status: str, value: float | None) -> list[float] | None:
        """What a completed trial came to in all objectives; None of any other."""
        if status != COMPLETED:
            return None
        return [value or 0.0, *self._secondary.get(trial, ())]

    def end(self, trial: int, status: str, value: float | None) -> None:
        """Tell the study how a trial ended; one that has completed without a value that is a number
        counts as failed.
        """
        from optuna.trial import TrialState

        if status == COMPLETED and (value is None or math.isnan(value)):
            status = FAILED

        states = {
            COMPLETED: TrialState.COMPLETE,
            STOPPED: TrialState.PRUNED,
            FAILED: TrialState.FAIL,
        }
        try:
            with quiet():
                self._study.tell(
                    self._trials[trial],
                    self._values(trial, status, value),
                    states[status],
                    skip_if_finished=True,  # another machine may have taken this process for dead
                )
        # A sampler with nothing left calls `study.stop`, which only `study.optimize` may
        except RuntimeError:
            self._exhausted = True
        except KeyError:  # GridSampler looks for the cell of an enqueued trial
            pass


def _suggest(trial: "optuna.Trial", key: str, domain: Domain) -> str:
    if domain.kind == "choice":
        return str(trial.suggest_categorical(key, domain.choices))
    if domain.kind == "int":
        return domain.text(
            trial.suggest_int(key, int(domain.low), int(domain.high), log=domain.log)
        )
    return domain.text(trial.suggest_float(key, domain.low, domain.high, log=domain.log))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
