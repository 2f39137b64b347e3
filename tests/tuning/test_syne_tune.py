"""Syne Tune's schedulers: the contract, and each trap that is guarded."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from renate.errors import ConfigError
from renate.tuning.base import COMPLETED, FAILED, STOPPED, Proposal
from renate.tuning.engines.syne_tune import SyneTune
from renate.tuning.space import Config, Domain, Space
from tests.tuning.toy import FIRST, FLAT, FLAT_FIRST, SPACE, STEPS, check_proposer, drive

pytest.importorskip("syne_tune", reason="syne-tune is not installed")

from syne_tune.optimizer.baselines import ASHA
from syne_tune.optimizer.scheduler import TrialScheduler, TrialSuggestion
from threadpoolctl import threadpool_info

BASELINES = "syne_tune.optimizer.baselines"
PBT = "syne_tune.optimizer.schedulers.pbt.PopulationBasedTraining"
BAD = 9.0
GOOD = 0.0


class Own(ASHA):
    """A user's class, which hands most arguments on."""

    def __init__(self, config_space: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(config_space, **kwargs)


class Pausing(TrialScheduler):
    def __init__(self, config_space: dict[str, Any], metric: str) -> None:
        super().__init__(0)

    def suggest(self) -> TrialSuggestion:
        return TrialSuggestion.resume_suggestion(0)


class Counting(ASHA):
    """Remembers how many threads it was given."""

    def suggest(self) -> TrialSuggestion:
        self.threads = {pool["num_threads"] for pool in threadpool_info()}
        return super().suggest()


def disturb() -> None:
    np.random.seed(99)  # noqa: NPY002 (the generator that the engine draws from)


def bound(
    scheduler: str,
    options: dict[str, Any],
    *,
    space: Space = FLAT,
    first: list[Config] | None = None,
) -> Any:
    proposer = SyneTune(scheduler, options)
    proposer.bind(space, first=first or [], seed=3, steps=STEPS, slots=2)
    return proposer


def population(*, interval: int = 2) -> Any:
    return bound(PBT, {"perturbation_interval": interval, "quantile_fraction": 0.5})


@pytest.mark.parametrize(
    ("scheduler", "options", "trials"),
    [
        (f"{BASELINES}.RandomSearch", {}, 24),
        (f"{BASELINES}.ASHA", {}, 40),
        (f"{BASELINES}.ASHA", {"brackets": 3}, 24),
        (f"{BASELINES}.BOHB", {"random_fraction": 0.0}, 40),
        (f"{BASELINES}.BORE", {}, 11),
        (f"{BASELINES}.TPE", {}, 40),
        (f"{BASELINES}.REA", {"population_size": 6, "sample_size": 3}, 24),
        (PBT, {"population_size": 4, "perturbation_interval": 2}, 24),
        (f"{__name__}.Own", {"reduction_factor": 2}, 16),
    ],
    ids=lambda value: value.rpartition(".")[2] if isinstance(value, str) else None,
)
def test_contract(scheduler: str, options: dict[str, Any], trials: int) -> None:
    log = check_proposer(lambda: SyneTune(scheduler, options), trials=trials, between=disturb)
    if scheduler == PBT:
        assert any(p.parent is not None for p in log.proposals)
    if scheduler.endswith(("ASHA", "Own")):
        assert STOPPED in log.statuses


@pytest.mark.slow
def test_flat_space() -> None:
    check_proposer(
        lambda: SyneTune(f"{BASELINES}.BOHB", {}), space=FLAT, first=FLAT_FIRST, trials=40
    )


def test_numpys_generator_is_left_alone() -> None:
    disturb()
    expected = np.random.random(3).tolist()  # noqa: NPY002
    disturb()
    drive(bound(f"{BASELINES}.ASHA", {}), trials=10)
    assert np.random.random(3).tolist() == expected  # noqa: NPY002


def test_another_seed_proposes_others() -> None:
    one = SyneTune(f"{BASELINES}.ASHA", {})
    two = SyneTune(f"{BASELINES}.ASHA", {})
    one.bind(FLAT, first=[], seed=0, steps=STEPS, slots=2)
    two.bind(FLAT, first=[], seed=1, steps=STEPS, slots=2)
    assert one.ask(0) != two.ask(0)


def test_import_leaves_the_environment_alone() -> None:
    code = (
        "import os; before = dict(os.environ)\n"
        "from renate.tuning.engines.syne_tune import SyneTune\n"
        f"SyneTune('{BASELINES}.ASHA', {{}})\n"
        "print(set(os.environ.items()) ^ set(before.items()))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("scheduler", [f"{BASELINES}.ASHA", PBT])
def test_last_step_is_no_stop(scheduler: str) -> None:
    proposer = bound(scheduler, {})
    proposer.ask(0)
    assert not any(proposer.report(0, step, GOOD) for step in range(1, STEPS + 1))
    proposer.end(0, COMPLETED, GOOD)


def test_failed_trial_is_no_longer_compared_with() -> None:
    proposer = bound(f"{BASELINES}.BOHB", {})
    proposer.ask(0), proposer.ask(1)
    assert not proposer.report(0, 1, GOOD)
    proposer.end(0, FAILED, None)
    assert not proposer.report(1, 1, BAD)  # stopped, were 0 in its rung
    assert set(proposer._engine.searcher.trial_results) == {1}
    proposer.ask(2)
    assert not proposer.report(2, 1, GOOD)
    proposer.ask(3)
    assert proposer.report(3, 1, BAD + 1)


def test_halving_forgets_who_was_stopped() -> None:
    proposer = bound(f"{BASELINES}.ASHA", {})
    proposer.ask(0)
    proposer.end(0, STOPPED, None)
    assert not proposer._engine.trial_info


@pytest.mark.parametrize("status", [COMPLETED, STOPPED, FAILED])
@pytest.mark.parametrize("scheduler", [f"{BASELINES}.BOHB", f"{BASELINES}.BORE", PBT])
def test_trial_that_ends_without_a_report(scheduler: str, status: str) -> None:
    """As one does whose configuration is known already."""
    proposer = bound(scheduler, {})
    proposer.ask(0)
    proposer.end(0, status, GOOD if status == COMPLETED else None)
    assert FLAT.fits(proposer.ask(1).config)


def test_choices_are_indices_and_inactive_keys_are_filled() -> None:
    proposer = bound(f"{BASELINES}.ASHA", {}, space=SPACE, first=[FIRST[0]])
    assert proposer.ask(0) == Proposal(FIRST[0], "enqueued")
    assert proposer._engine.config_space["updater"].categories == ["0", "1", "2"]
    for trial in range(1, 9):
        assert SPACE.fits(proposer.ask(trial).config)
    for trial in range(9):
        flat = proposer._trials[trial].config
        assert list(flat) == list(SPACE.domains)
        assert flat["updater"] in ("0", "1", "2")
    assert proposer._trials[0].config["updater.replay"] == 32


@pytest.mark.parametrize(("scheduler", "trials"), [("BORE", 9), ("TPE", 24), ("REA", 20)])
def test_single_values_stay(scheduler: str, trials: int) -> None:
    fixed = {"updater": Domain("choice", choices=("er",)), "layers": Domain("int", low=0, high=0)}
    space = Space(
        fixed
        | {
            "lr": Domain("float", low=0.1, high=0.1),
            "momentum": Domain("float", low=0.0, high=1.0),
        },
    )
    options = {"population_size": 6, "sample_size": 3} if scheduler == "REA" else {}
    log = drive(bound(f"{BASELINES}.{scheduler}", options, space=space), trials=trials)
    assert {(p.config["updater"], p.config["layers"], p.config["lr"]) for p in log.proposals} == {
        ("er", "0", "0.1")
    }
    assert len({p.config["momentum"] for p in log.proposals}) > trials // 2


def test_first_that_does_not_fit_is_dropped() -> None:
    proposer = bound(
        f"{BASELINES}.ASHA", {}, first=[{"lr": "7", "momentum": "0.5"}, *FLAT_FIRST, {"lr": "0.1"}]
    )
    assert [proposer.ask(trial).source for trial in range(2)] == ["enqueued", "sampled"]


def test_population_is_no_larger_than_the_slots() -> None:
    proposer = population()
    assert [proposer.ask(trial) is None for trial in range(3)] == [False, False, True]
    for step in range(1, STEPS + 1):
        proposer.report(0, step, GOOD)
    proposer.end(0, COMPLETED, GOOD)
    assert proposer.ask(2) is None  # the scheduler would begin afresh
    proposer.end(1, FAILED, None)
    assert proposer.ask(2).source == "sampled"  # in the place of the failed


def lower_is_stopped(proposer: Any) -> None:
    """Trial 0 is at epoch 3 and doing well, trial 1 has just been stopped for it."""
    proposer.ask(0), proposer.ask(1)
    assert not any(proposer.report(0, step, GOOD) for step in range(1, 4))
    assert not proposer.report(1, 1, BAD)
    assert proposer.report(1, 2, BAD)
    proposer.end(1, STOPPED, BAD)


def test_clone_begins_where_its_parent_is() -> None:
    proposer = population()
    lower_is_stopped(proposer)
    clone = proposer.ask(2)
    assert (clone.source, clone.parent) == ("clone:0", 0)
    assert not proposer.report(2, 4, BAD)  # judged, had it been perturbed in epoch 0
    assert proposer.report(2, 5, BAD)


@pytest.mark.parametrize("status", [FAILED, COMPLETED])
def test_no_clone_of_a_parent_without_weights_or_epochs(status: str) -> None:
    proposer = population()
    lower_is_stopped(proposer)
    if status == COMPLETED:
        for step in range(4, STEPS + 1):
            proposer.report(0, step, GOOD)
    proposer.end(0, status, GOOD if status == COMPLETED else None)
    assert proposer.ask(2).source == "sampled"


@pytest.mark.parametrize("status", [FAILED, STOPPED])
def test_who_has_ended_is_not_cloned_later(status: str) -> None:
    proposer = population()
    proposer.ask(0), proposer.ask(1)
    assert not any(proposer.report(0, step, GOOD) for step in range(1, 4))
    proposer.end(0, status, None)
    assert not any(proposer.report(1, step, BAD) for step in range(1, 4))


def test_the_cores_are_left_to_the_trials() -> None:
    proposer = bound(f"{__name__}.Counting", {})
    proposer.ask(0)
    assert proposer._engine.threads == {1}


def test_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is no such class"):
        SyneTune(f"{BASELINES}.MOBSTER", {})
    with pytest.raises(ConfigError, match="there is no such class"):
        SyneTune("ASHA", {})
    with pytest.raises(ConfigError, match="expected a class, found dict"):
        SyneTune(f"{BASELINES}.baselines_dict", {})
    with pytest.raises(
        ConfigError, match="importing it failed: No module named 'syne_tune.nothing'"
    ):
        SyneTune("syne_tune.nothing.ASHA", {})
    with pytest.raises(ConfigError, match="no option 'bracket', did you mean 'brackets'"):
        bound(f"{BASELINES}.ASHA", {"bracket": 3})
    with pytest.raises(ConfigError, match="ASHA: grace_period must be <= max_t!"):
        bound(f"{BASELINES}.ASHA", {"grace_period": STEPS + 1})
    with pytest.raises(ConfigError, match="missing 1 required positional argument: 'scheduler'"):
        bound("syne_tune.optimizer.schedulers.median_stopping_rule.MedianStoppingRule", {})
    with pytest.raises(ConfigError, match="only stopping is supported"):
        bound(f"{__name__}.Pausing", {}).ask(0)
    monkeypatch.setitem(sys.modules, "syne_tune", None)
    with pytest.raises(ConfigError, match=r"pip install 'renate-cl\[syne-tune\]'"):
        SyneTune(f"{BASELINES}.ASHA", {})
