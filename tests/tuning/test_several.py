"""Several objectives, and what bounds the space by earlier updates."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from renate.build import build
from renate.errors import ConfigError
from renate.launchers.composing.conf import CONF
from renate.tuning.base import COMPLETED, Proposer, Stopper
from renate.tuning.limits import Limits
from renate.tuning.pareto import dominates, ranks
from renate.tuning.space import Config, Domain, Space
from renate.tuning.stoppers import Halving
from renate.tuning.sweep import Sweep
from renate.tuning.trial import End, Report, Trial
from tests.tuning.simulated import EPOCHS, NO_LIMITS, SPACE, Killed, Simulated, accuracy

SEVERAL = ["evolution", "random", "asha", "syne_tune/moasha", "optuna/nsga2", "optuna/tpe"]


class TwoObjectives(Simulated):
    """Accuracy, and a cost that grows with the size and the learning rate."""

    def next(self, timeout: float | None) -> Report | End | None:
        event = super().next(timeout)
        if not isinstance(event, Report):
            return event
        config = self.configs[event.trial]
        cost = float(config["size"]) + 4 + math.log10(float(config["lr"]))
        return Report(event.trial, event.step, event.value, (cost,))


def sweep_of(name: str, log: Path, backend: Simulated, trials: int = 14) -> Sweep:
    if "/" in name:
        pytest.importorskip(name.split("/")[0])
    node: Any = yaml.safe_load(
        (CONF / "tuner" / f"{name}.yaml").read_text().replace("${tuner.storage}", "null")
    )
    proposer: Proposer = build(node["proposer"], "tuner.proposer")
    stopper: Stopper = build(node["stopper"], "tuner.stopper")
    assert proposer.multi_objective
    assert stopper.multi_objective
    proposer.objectives = 2
    proposer.bind(SPACE, first=(), seed=0, steps=EPOCHS, slots=2)
    stopper.bind(steps=EPOCHS, seed=0, enqueued=0, warm=False)
    limits = Limits(**{**vars(NO_LIMITS), "max_trials": trials})
    return Sweep(
        proposer,
        stopper,
        backend,
        mode="max",
        order="fixed",
        limits=limits,
        log=log,
        secondary=["min"],
    )


def outcome(trials: list[Trial]) -> list[tuple[Any, ...]]:
    return [(t.id, t.config, t.status, t.step, t.value, t.secondary) for t in trials]


@pytest.mark.parametrize("every", [12, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SEVERAL)
def test_killed_it_ends_like_an_undisturbed_sweep(name: str, every: int, tmp_path: Path) -> None:
    counted = TwoObjectives()
    whole = outcome(sweep_of(name, tmp_path / "whole", counted).run())
    for death in range(1, counted.events + 1, every):
        log = tmp_path / f"log-{death}"
        with pytest.raises(Killed):
            sweep_of(name, log, TwoObjectives(dies=death)).run()
        assert outcome(sweep_of(name, log, TwoObjectives()).run()) == whole, death


@pytest.mark.parametrize("name", SEVERAL)
def test_the_front_is_what_no_other_completed_trial_beats(name: str, tmp_path: Path) -> None:
    sweep = sweep_of(name, tmp_path / "log", TwoObjectives())
    completed = [t for t in sweep.run() if t.status == COMPLETED]
    points = {t.id: (-float(t.value or 0.0), *t.secondary) for t in completed}
    front = {t.id for t in sweep.front()}
    assert front
    for number, point in points.items():
        assert (number in front) == (not any(dominates(other, point) for other in points.values()))
    assert sweep.best is not None
    assert sweep.best.id in front, "the first objective decides what is published"


def test_halving_keeps_a_trial_that_is_best_in_the_second_objective() -> None:
    stopper = Halving(factor=3, grace=1, brackets=1)
    stopper.bind(steps=9, seed=0, enqueued=0, warm=False)
    stops = []
    for trial, point in enumerate([(1.0, 5.0), (2.0, 4.0), (9.0, 1.0), (8.0, 9.0)]):
        stopper.report_secondary(trial, point[1:])
        stops.append(stopper.report(trial, 1, point[0]))
    assert stops == [False, False, False, True]


def test_ranks_count_who_dominates() -> None:
    assert ranks([(1.0, 1.0), (2.0, 2.0), (1.0, 3.0), (0.0, 9.0), (1.0, 1.0)]) == [0, 2, 2, 0, 0]
    assert ranks([(3.0,), (1.0,), (2.0,)]) == [2, 0, 1]
    assert ranks([]) == []


def test_one_that_is_not_finite_fails_the_trial(tmp_path: Path) -> None:
    class Diverging(TwoObjectives):
        def next(self, timeout: float | None) -> Report | End | None:
            event = super().next(timeout)
            if isinstance(event, Report) and event.trial == 1:
                return Report(event.trial, event.step, event.value, (math.nan,))
            return event

    trials = sweep_of("random", tmp_path / "log", Diverging(), trials=3).run()
    assert trials[1].status == "failed"
    assert trials[1].error == f"the objective is {accuracy(trials[1].config, 1)}, nan at epoch 1"


# Bounding box

FLAT = Space(
    {
        "lr": Domain("float", 1e-4, 1.0, log=True),
        "size": Domain("int", 1, 64),
        "kind": Domain("choice", choices=("a", "b", "c")),
    }
)


def past(low: float, high: float, kind: str, seed: int) -> list[tuple[Config, float]]:
    """An update whose best configurations have a learning rate between two values and one kind."""
    draw = random.Random(seed)
    found: list[tuple[Config, float]] = []
    for _ in range(20):
        config = FLAT.sample(draw)
        good = low <= float(config["lr"]) <= high and config["kind"] == kind
        found.append((config, draw.random() + (0.0 if good else 10.0)))
    good = {"lr": repr((low * high) ** 0.5), "size": "8", "kind": kind}
    return [
        *found,
        (good, -1.0),
        ({**good, "lr": repr(low)}, -0.9),
        ({**good, "lr": repr(high)}, -0.8),
    ]


def proposals(updates: list[list[tuple[Config, float]]], best: int = 3) -> list[Config]:
    pytest.importorskip("syne_tune")
    from renate.tuning.engines.bounding_box import BoundingBox

    box = BoundingBox("syne_tune.optimizer.baselines.RandomSearch", {}, best)
    box.learn(updates)
    box.bind(FLAT, first=[], seed=0, steps=1, slots=1)
    found = []
    for trial in range(40):
        proposal = box.ask(trial)
        assert proposal is not None
        found.append(proposal.config)
        box.report(trial, 1, 1.0)
        box.end(trial, COMPLETED, 1.0)
    return found


def test_proposals_lie_in_the_box() -> None:
    found = proposals([past(0.01, 0.1, "a", 1), past(0.05, 0.2, "c", 2)])
    assert {config["kind"] for config in found} == {"a", "c"}
    assert all(0.01 <= float(config["lr"]) <= 0.2 for config in found)
    assert {config["size"] for config in found} == {"8"}, (
        "where all agree there is nothing to choose"
    )
    assert len({config["lr"] for config in found}) > 30


def test_without_history_the_box_is_the_space() -> None:
    for updates in ([], [[]]):
        found = proposals(updates)
        assert {config["kind"] for config in found} == {"a", "b", "c"}
        assert min(float(config["lr"]) for config in found) < 1e-3


def test_box_of_nothing() -> None:
    pytest.importorskip("syne_tune")
    from renate.tuning.engines.bounding_box import BoundingBox

    with pytest.raises(ValueError, match="best=0: expected 1 or more"):
        BoundingBox("syne_tune.optimizer.baselines.RandomSearch", {}, 0)


def test_a_sampler_of_one_objective() -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("cmaes")
    from renate.tuning.engines.optuna import Optuna

    proposer = Optuna("optuna.samplers.CmaEsSampler", None, None, {}, {})
    proposer.objectives = 2
    proposer.bind(SPACE, first=[], seed=0, steps=1, slots=1)

    def ask_some() -> None:
        for trial in range(12):
            proposer.ask(trial)
            proposer.report_secondary(trial, (1.0,))
            proposer.end(trial, COMPLETED, 1.0)

    with pytest.raises(ConfigError, match="CmaEsSampler: .*multi-objective"):
        ask_some()
