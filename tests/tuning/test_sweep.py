"""The event loop: killed anywhere, with trials that fail, repeat or report nonsense."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from renate.errors import ConfigError
from renate.tuning.base import COMPLETED, FAILED, STOPPED, Proposal, Proposer
from renate.tuning.on_disk.sweep_folder import best_of
from renate.tuning.proposers import Grid, Random
from renate.tuning.space import Config, Domain, Space
from renate.tuning.stoppers import Median, Never
from renate.tuning.sweep import Sweep
from tests.tuning.simulated import EPOCHS, Killed, Simulated, accuracy, outcome, sweep_of

TWO = Space({"lr": Domain("choice", choices=("0.1", "0.01")), "size": Domain("int", 1, 3)})


def test_bad_trials_are_stopped_and_the_best_completes(tmp_path: Path) -> None:
    backend = Simulated()
    sweep = sweep_of(tmp_path / "log", backend, trials=40)
    trials = sweep.run()
    status = [t.status for t in trials]
    assert status.count(STOPPED) > status.count(COMPLETED) > 0
    assert sweep.best is not None
    assert sweep.best.value == max(t.value for t in trials if t.status == COMPLETED)
    assert all(t.step == EPOCHS for t in trials if t.status == COMPLETED)
    assert sum(len(t.curve) for t in trials) < 0.6 * 40 * EPOCHS
    assert sweep.why == "max_trials=40"


@pytest.mark.parametrize(
    "stopper", [None, Median(grace=1, trials=2), Never()], ids=["halving", "median", "never"]
)
def test_killed_at_every_event_it_ends_like_an_undisturbed_sweep(
    tmp_path: Path, stopper: object
) -> None:
    make = (lambda: None) if stopper is None else (lambda: type(stopper)(**_arguments(stopper)))
    whole = outcome(sweep_of(tmp_path / "whole", Simulated(), stopper=make(), trials=8).run())  # type: ignore[arg-type]
    events = Simulated()
    sweep_of(tmp_path / "count", events, stopper=make(), trials=8).run()  # type: ignore[arg-type]
    for death in range(1, events.events + 1):
        log = tmp_path / f"log-{death}"
        deaths = 0
        while True:
            backend = Simulated(dies=death if deaths < 3 else None)
            try:
                ended = sweep_of(log, backend, stopper=make(), trials=8).run()  # type: ignore[arg-type]
                break
            except Killed:
                deaths += 1
                with log.open("ab") as file:  # and a line that was half written
                    file.write(b'{"report": 3, "st')
        assert outcome(ended) == whole, death
    assert deaths > 0


def _arguments(stopper: object) -> dict[str, int]:
    return {"grace": 1, "trials": 2} if isinstance(stopper, Median) else {}


def test_by_arrival_the_logged_prefix_holds(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        sweep_of(tmp_path / "log", Simulated(dies=30), order="arrival").run()
    before = (tmp_path / "log").read_text()
    # another pace: the rest of the sweep is another one
    sweep_of(
        tmp_path / "log", Simulated(pace=lambda trial: 2.0 - 0.1 * (trial % 7)), order="arrival"
    ).run()
    assert (tmp_path / "log").read_text().startswith(before)


def test_a_finished_sweep_starts_nothing_again(tmp_path: Path) -> None:
    first = sweep_of(tmp_path / "log", Simulated()).run()
    backend = Simulated()
    assert outcome(sweep_of(tmp_path / "log", backend).run()) == outcome(first)
    assert backend.started == 0
    more = sweep_of(tmp_path / "log", backend, trials=25).run()
    assert outcome(more)[:20] == outcome(first), "a raised limit goes on"
    assert len(more) == 25


def test_another_seed_or_tuner_is_no_continuation(tmp_path: Path) -> None:
    sweep_of(tmp_path / "log", Simulated()).run()
    with pytest.raises(
        ConfigError,
        match="repeating the sweep gives config=.* the tuner or its version has changed",
    ):
        sweep_of(tmp_path / "log", Simulated(), seed=1).run()


def test_a_trial_that_raises_or_reports_nan_fails_alone(tmp_path: Path) -> None:
    def value(config: Config, step: int) -> float:
        if float(config["lr"]) > 0.3:
            raise RuntimeError("diverged")
        return math.nan if config["size"] == "3" and step == 2 else accuracy(config, step)

    sweep = sweep_of(tmp_path / "log", Simulated(value=value), trials=30, stopper=Never())
    trials = sweep.run()
    failed = {t.error for t in trials if t.status == FAILED}
    assert failed == {"diverged", "the objective is nan at epoch 2"}
    assert sweep.best is not None
    assert sweep.best.status == COMPLETED
    again = Simulated(value=value)
    assert outcome(sweep_of(tmp_path / "log", again, trials=30, stopper=Never()).run()) == outcome(
        trials
    )
    assert again.started == 0, "NaN isn't tried again"


def test_of_equal_trials_the_first_asked_for_wins_whichever_ended_first(tmp_path: Path) -> None:
    backend = Simulated(
        pace=lambda trial: 9.0 if trial == 0 else 1.0, value=lambda config, step: 0.5, epochs=2
    )
    sweep = sweep_of(tmp_path / "log", backend, Random(), Never(), trials=4, order="arrival")
    kept: list[int] = []
    sweep.tell = lambda trial: kept.append(sweep.best.id) if sweep.best else None
    trials = sweep.run()
    assert kept[0] != 0, "another one ended first"
    assert sweep.best is trials[0]
    assert best_of(trials, "max") is trials[0], "the log says the same"


def test_of_equal_trials_one_that_lacks_a_further_value_comes_last(tmp_path: Path) -> None:
    backend = Simulated(value=lambda config, step: 0.5, epochs=1)
    first, second = sweep_of(tmp_path / "log", backend, Random(), Never(), trials=2).run()
    lacking = replace(first, secondary=())
    whole = replace(second, secondary=(0.3,))
    assert best_of([lacking, whole], "max", ["min"]) is whole
    assert best_of([lacking, whole], "max") is lacking


def test_a_finite_space_ends(tmp_path: Path) -> None:
    for proposer in (Grid(), None):
        log = tmp_path / str(proposer is None)
        sweep = sweep_of(log, Simulated(), proposer, Never(), space=TWO, trials=None)
        trials = sweep.run()
        assert len({json.dumps(t.config) for t in trials}) == len(trials) == 6
        assert sweep.why == "the space has nothing new"


class Repeating(Proposer):
    """Asks for two configurations over and over."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, float | None]] = []

    def propose(self, trial: int) -> Proposal:
        return Proposal({"lr": "0.1" if trial % 2 else "0.01", "size": "1"})

    def end(self, trial: int, status: str, value: float | None) -> None:
        self.told.append((trial, status, value))


def test_equal_configurations_are_answered_from_the_known_result(tmp_path: Path) -> None:
    proposer = Repeating()
    backend = Simulated()
    sweep = sweep_of(tmp_path / "log", backend, proposer, Never(), space=TWO, trials=None)
    trials = sweep.run()
    assert backend.started == 2
    assert sweep.why == "nothing new in 50 proposals"
    assert len(proposer.told) == len(trials)
    assert {(t.id % 2, t.value) for t in trials} == {(0, trials[0].value), (1, trials[1].value)}
    again = Simulated()
    sweep = sweep_of(tmp_path / "log", again, Repeating(), Never(), space=TWO, trials=len(trials))
    assert outcome(sweep.run()) == outcome(trials)
    assert again.started == 0


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("max_trials_completed", 2, "max_trials_completed=2"),
        ("max_trials_finished", 5, "max_trials_finished=5"),
        ("max_time", 30.0, "max_time=30"),
        ("max_cost", 0.02, "max_cost=0.02"),
    ],
)
def test_limits(tmp_path: Path, limit: str, value: float, why: str) -> None:
    backend = Simulated()
    sweep: Sweep = sweep_of(tmp_path / "log", backend, trials=None, price=3.0, **{limit: value})
    trials = sweep.run()
    assert sweep.why == why
    assert not sweep.ledger.running
    if limit == "max_trials_completed":
        assert sum(t.status == COMPLETED for t in trials) == 2
    if limit == "max_time":
        assert 30.0 <= backend.now < 40.0
    assert backend.stopped >= {t.id for t in trials if t.error and "the sweep ended" in t.error}


def test_too_many_failures_end_it(tmp_path: Path) -> None:
    def value(config: Config, step: int) -> float:
        raise RuntimeError("no such file")

    sweep = sweep_of(tmp_path / "log", Simulated(value=value), trials=None, max_failures=3)
    trials = sweep.run()
    assert sweep.why == "more than max_failures=3 trials failed; the last: no such file"
    assert sum(t.status == FAILED for t in trials) == 4
    assert sweep.best is None
