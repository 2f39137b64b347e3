"""Names and limits that a sweep is kept by."""

from collections import Counter

import pytest

from renate.build import MOVED, locate
from renate.tuning.limits import Limits
from renate.tuning.objectives import Objectives
from renate.tuning.trial import Trial

NO_LIMITS = Limits(None, None, None, None, None, None, 0.0)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("renate.tuning.optuna.Optuna", "optuna"),
        ("renate.tuning.syne_tune.SyneTune", "syne_tune"),
        ("renate.tuning.bounding_box.BoundingBox", "syne_tune"),
    ],
)
def test_configs_of_earlier_releases_find_the_engines(name: str, extra: str) -> None:
    pytest.importorskip(extra)
    found = locate(name, "tuner.proposer")
    assert found.__qualname__ == name.rpartition(".")[2]
    assert found.__module__.startswith("renate.tuning.engines.")
    assert any(name.startswith(earlier) for earlier in MOVED)


def test_the_first_limit_that_is_reached_is_told() -> None:
    trials = [Trial(0, {}, "random", status="failed", error="first"), Trial(1, {}, "random")]
    trials[1].status = "failed"
    trials[1].error = "second"
    ended = Counter(failed=2, completed=1)
    assert NO_LIMITS.reached_by(ended, 1e9, trials) is None

    limits = Limits(None, 1, 3, 1, None, None, 0.0)
    said = "more than max_failures=1 trials failed; the last: second"
    assert limits.reached_by(ended, 0.0, trials) == said
    assert Limits(None, 1, 3, 2, None, None, 0.0).reached_by(ended, 0.0, trials) == (
        "max_trials_completed=1"
    )
    assert Limits(None, 2, 3, None, None, None, 0.0).reached_by(ended, 0.0, trials) == (
        "max_trials_finished=3"
    )


def test_the_cost_is_that_of_the_hours_spent() -> None:
    limits = Limits(None, None, None, None, None, 4.0, 2.0)
    assert limits.reached_by(Counter(), 2 * 3600 - 1, []) is None
    assert limits.reached_by(Counter(), 2 * 3600, []) == "max_cost=4"


def test_of_equal_values_the_further_objective_decides_then_who_was_asked_first() -> None:
    objectives = Objectives("max", ["min"])
    trials = [
        Trial(n, {}, "random", status="completed", value=value, secondary=(other,))
        for n, (value, other) in enumerate([(0.5, 2.0), (0.5, 1.0), (0.5, 1.0), (0.4, 0.0)])
    ]
    assert min(trials, key=objectives.rank).id == 1
    assert [trial.id for trial in objectives.front(trials)] == [1, 2, 3]
    with pytest.raises(ValueError, match="shorter"):
        objectives.turned_secondary([])
