"""Optuna's samplers and pruners: the contract, and each trap that is guarded."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from renate.errors import ConfigError
from renate.tuning.base import COMPLETED, FAILED, STOPPED
from renate.tuning.engines.optuna import Optuna
from renate.tuning.engines.optuna_study import study_of
from renate.tuning.space import Config, Domain, Space
from tests.tuning.toy import FIRST, FLAT, FLAT_FIRST, SPACE, STEPS, check_proposer, drive

optuna = pytest.importorskip("optuna", reason="optuna is not installed")

from optuna.trial import TrialState  # noqa: E402
from threadpoolctl import threadpool_info  # noqa: E402

TPE = {"multivariate": True, "group": True}
FINITE = Space(
    {
        "updater": Domain("choice", choices=("er", "null")),
        "lr": Domain("choice", choices=("0.1", "0.01", "0.9")),
        "momentum": Domain("int", low=0, high=1),
    }
)


class Counting(optuna.samplers.RandomSampler):
    """Remembers how many threads it was given."""

    def sample_independent(self, *args: Any) -> Any:
        self.threads = {pool["num_threads"] for pool in threadpool_info()}
        return super().sample_independent(*args)


def sampler(
    name: str,
    options: dict[str, Any] | None = None,
    *,
    pruner: str | None = None,
    pruner_options: dict[str, Any] | None = None,
    storage: str | None = None,
) -> Optuna:
    pruner = pruner and f"optuna.pruners.{pruner}Pruner"
    return Optuna(
        f"optuna.samplers.{name}Sampler", pruner, storage, options or {}, pruner_options or {}
    )


def bind(proposer: Optuna, *, space: Space = FLAT, first: list[Config] | None = None) -> Any:
    proposer.bind(space, first=first or [], seed=3, steps=STEPS, slots=2)
    return proposer


def states(proposer: Any) -> list[TrialState]:
    return [trial.state for trial in proposer._study.trials]


@pytest.mark.parametrize(
    ("name", "pruner", "options", "trials"),
    [
        ("Random", None, {}, 24),
        ("TPE", None, TPE, 24),
        ("TPE", "Hyperband", TPE, 30),
        ("TPE", "SuccessiveHalving", TPE, 30),
        ("TPE", "Median", TPE, 24),
        ("TPE", "Percentile", {}, 24),
        ("CmaEs", None, {}, 24),
        ("QMC", None, {"scramble": True}, 24),
        ("NSGAII", None, {"population_size": 6}, 24),
        ("BruteForce", None, {}, 24),
    ],
)
def test_contract(name: str, pruner: str | None, options: dict[str, Any], trials: int) -> None:
    space, first = (FINITE, [next(FINITE.grid())]) if name == "BruteForce" else (SPACE, FIRST)
    more = {"percentile": 25.0} if pruner == "Percentile" else {}
    log = check_proposer(
        lambda: sampler(name, options, pruner=pruner, pruner_options=more),
        space=space,
        first=first,
        trials=trials,
    )
    assert (STOPPED in log.statuses) == (pruner is not None)


def test_gaussian_process() -> None:
    check_proposer(
        lambda: sampler("GP", {"n_startup_trials": 3}), space=FLAT, first=FLAT_FIRST, trials=6
    )


def test_conditional_gaussian_process() -> None:
    check_proposer(lambda: sampler("GP", {"n_startup_trials": 4}), trials=6)


@pytest.mark.parametrize("name", ["Grid", "BruteForce"])
@pytest.mark.parametrize("first", [[], [{"updater": "null", "lr": "0.01", "momentum": "1"}]])
def test_exhausted_sampler_gives_none(name: str, first: list[Config]) -> None:
    log = drive(bind(sampler(name), space=FINITE, first=first), trials=99)
    assert log.events[-1][0] == "ask"
    assert log.events[-1][2] is None
    assert {tuple(p.config.items()) for p in log.proposals} == {
        tuple(c.items()) for c in FINITE.grid()
    }


def test_grid_and_an_enqueued_trial_that_ends_late() -> None:
    space = Space({"lr": Domain("choice", choices=("0.1", "0.2"))})
    proposer = bind(sampler("Grid"), space=space, first=[{"lr": "0.1"}])
    proposer.ask(0), proposer.ask(1)
    proposer.end(1, COMPLETED, 1.0)
    proposer.end(0, COMPLETED, 2.0)  # one cell is left, and this trial has none
    assert states(proposer) == [TrialState.COMPLETE] * 2


def test_one_name_per_space() -> None:
    """Hyperband draws brackets from the name."""
    names = [
        bind(sampler("Random"), space=space)._study.study_name for space in (FLAT, FLAT, SPACE)
    ]
    assert names[0] == names[1] != names[2]


def test_name_is_the_same_in_another_process() -> None:
    code = (
        "from renate.tuning.engines.optuna_study import name_of; from tests.tuning.toy import SPACE; "
        "print(name_of(SPACE))"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in "123"
    }
    assert len(names) == 1


def test_brackets_end_at_the_last_step() -> None:
    proposer = bind(sampler("Random", pruner="Hyperband"))
    assert proposer._study.pruner._max_resource == STEPS


def test_last_step_is_no_stop() -> None:
    proposer = bind(sampler("Random", pruner="Threshold", pruner_options={"upper": 1.0}))
    proposer.ask(0)
    assert proposer.report(0, STEPS - 1, 2.0)
    assert not proposer.report(0, STEPS, 2.0)
    proposer.end(0, COMPLETED, 2.0)
    assert states(proposer) == [TrialState.COMPLETE]


@pytest.mark.parametrize("status", [COMPLETED, STOPPED, FAILED])
def test_trial_that_ends_without_a_report(status: str) -> None:
    """As one does whose configuration is known already."""
    proposer = bind(sampler("TPE", TPE, pruner="Hyperband"))
    proposer.ask(0)
    proposer.end(0, status, 1.0 if status == COMPLETED else None)
    assert FLAT.fits(proposer.ask(1).config)


def test_not_a_number_is_a_failure() -> None:
    proposer = bind(sampler("TPE"))
    proposer.ask(0)
    proposer.end(0, COMPLETED, math.nan)
    assert states(proposer) == [TrialState.FAIL]


def test_enqueued_keep_their_texts_and_fit() -> None:
    given = {"lr": "1e-1", "momentum": "0.50"}
    proposer = bind(sampler("TPE"), first=[{"lr": "7", "momentum": "0.5"}, given, {"lr": "0.1"}])
    assert [proposer.ask(trial).source for trial in range(2)] == ["enqueued", "sampled"]
    assert bind(sampler("TPE"), first=[given]).ask(0).config == given


def test_the_cores_are_left_to_the_trials() -> None:
    proposer = bind(Optuna(f"{__name__}.Counting", None, None, {}, {}))
    proposer.ask(0)
    assert proposer._study.sampler.threads == {1}


@pytest.fixture(params=["sqlite", "journal"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path}/study.db"
        if request.param == "sqlite"
        else f"{tmp_path}/new/study.log"
    )


def test_machines_share_a_storage(storage: str) -> None:
    one = bind(sampler("TPE", TPE, storage=storage), first=list(FLAT_FIRST))
    two = bind(sampler("TPE", TPE, storage=storage), first=list(FLAT_FIRST))
    assert [one.ask(0).source, two.ask(0).source, one.ask(1).source] == [
        "enqueued",
        "sampled",
        "sampled",
    ]
    one.end(0, COMPLETED, 1.0)
    assert not two.report(0, 1, 2.0)
    two.end(0, STOPPED, 2.0)
    one.end(1, FAILED, None)
    assert states(two) == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    other = bind(sampler("TPE", TPE, storage=storage), space=FINITE)
    assert FINITE.fits(other.ask(0).config)


def test_trials_of_the_dead_are_tried_again(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: dead.pid)
        killed = bind(sampler("Random", storage=storage))
        lost = killed.ask(0)
    living = bind(sampler("Random", storage=storage))
    assert states(living) == [TrialState.FAIL, TrialState.WAITING]
    again = living.ask(0)
    assert (again.config, again.source) == (lost.config, "enqueued")
    assert states(bind(sampler("Random", storage=storage))) == [TrialState.FAIL, TrialState.RUNNING]
    killed.end(0, COMPLETED, 1.0)  # it wasn't dead after all
    assert states(living) == [TrialState.FAIL, TrialState.RUNNING]


def test_torn_journal_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    bind(sampler("Random", storage=str(path))).ask(0)
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:-9])
    bind(sampler("Random", storage=str(path))).ask(0)
    assert len(states(bind(sampler("Random", storage=str(path))))) == 2


def test_study_for_plots() -> None:
    trials = [
        {"config": FIRST[0], "value": 0.75, "status": COMPLETED, "curve": [(1, 0.5), (2, 0.75)]},
        {"config": FIRST[1], "value": 0.25, "status": STOPPED, "curve": [(1, 0.25)]},
        {"config": FIRST[1], "value": None, "status": FAILED, "curve": []},
        {"config": {"lr": "0.1"}, "value": 0.9, "status": COMPLETED, "curve": []},
    ]
    study = study_of(SPACE, trials, "max")
    assert study.best_value == 0.75
    assert study.best_params == {
        "updater": "er",
        "lr": 0.1,
        "momentum": 0.5,
        "layers": 2,
        "updater.replay": 32,
    }
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert study.trials[0].intermediate_values == {1: 0.5, 2: 0.75}
    assert study_of(SPACE, trials[:1], "min").direction.name == "MINIMIZE"


def test_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is no such class"):
        sampler("MOTPE")
    with pytest.raises(ConfigError, match="there is no such class"):
        sampler("TPE", pruner="Best")
    with pytest.raises(
        ConfigError, match="TPESampler has no option 'multivariant', did you mean 'multivariate'"
    ):
        bind(sampler("TPE", {"multivariant": True}))
    with pytest.raises(ConfigError, match="GridSampler"):
        bind(sampler("Grid"))
    with pytest.raises(
        ConfigError, match="mysql storage needs a package: Failed to import DB access module"
    ):
        bind(sampler("TPE", storage="mysql://nobody@localhost/study"))
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'renate-cl\[optuna\]'"):
        sampler("TPE")
