"""The rules that stop trials, on numbers that can be checked by hand."""

import pytest

from renate.tuning.base import FAILED
from renate.tuning.stoppers import Halving, Median


def halving(steps: int = 9, enqueued: int = 0, brackets: int = 1, bar: bool = False) -> Halving:
    stopper = Halving(factor=3, grace=1, brackets=brackets, bar=bar)
    stopper.bind(steps=steps, seed=0, enqueued=enqueued, warm=False)
    return stopper


def test_of_those_at_a_rung_the_best_third_goes_on() -> None:
    stopper = halving()
    values = [0.5, 0.6, 0.4, 0.45, 0.3, 0.35, 0.2]
    assert [stopper.report(trial, 1, value) for trial, value in enumerate(values)] == [
        False,  # the first at a rung has nobody to be compared with
        True,
        False,
        True,
        False,
        False,  # the second of six
        False,
    ]


def test_between_rungs_and_at_the_end_nothing_is_stopped() -> None:
    stopper = halving()
    for trial, value in enumerate([0.1, 0.9, 0.9]):
        stopper.report(trial, 1, value)
        assert not stopper.report(trial, 2, value)
    assert not stopper.report(0, 3, 0.1)
    assert stopper.report(1, 3, 0.9)
    assert not stopper.report(2, 9, 0.9), "it has been trained to its end"


def test_a_rung_that_no_report_hit_is_judged_at_the_next() -> None:
    stopper = halving(steps=27)
    assert not stopper.report(0, 4, 0.1)
    assert stopper.report(1, 5, 0.2)
    assert set(stopper.rungs) == {1, 3}


def test_failed_trials_no_longer_count() -> None:
    stopper = halving()
    assert not stopper.report(0, 1, 0.1)
    stopper.end(0, FAILED)
    assert not stopper.report(1, 1, 0.5)


def test_later_brackets_start_at_later_rungs_and_are_rarer() -> None:
    stopper = halving(steps=27, brackets=3)
    counts = [sum(stopper._bracket(trial) == b for trial in range(1300)) for b in range(3)]
    assert counts[0] > 2 * counts[1] > 3 * counts[2] > 0
    late = next(trial for trial in range(1300) if stopper._bracket(trial) == 2)
    for step in (1, 3, 8):
        assert not stopper.report(late, step, 9.0)
    assert set(stopper.rungs) == set()


def test_a_bar_set_by_earlier_updates() -> None:
    stopper = halving(enqueued=1, bar=True)
    stopper.report(0, 1, 0.3)
    for trial in (1, 2, 3, 4, 5, 6):
        assert stopper.report(trial, 1, 0.31)
    assert not stopper.report(7, 1, 0.29)


def test_the_median_of_the_others_at_the_same_epoch() -> None:
    stopper = Median(grace=2, trials=3)
    stopper.bind(steps=9, seed=0, enqueued=0, warm=False)
    for trial, value in enumerate([0.1, 0.2, 0.3]):
        assert not stopper.report(trial, 1, value)
        assert not stopper.report(trial, 2, value)
    assert not stopper.report(3, 1, 0.9), "within the grace"
    assert stopper.report(3, 2, 0.21)
    assert not stopper.report(4, 2, 0.205), "the median is of four now"


@pytest.mark.parametrize(("warm", "rungs"), [(False, {1, 3, 9}), (True, {9})])
def test_what_starts_from_a_trained_model_is_judged_late(warm: bool, rungs: set[int]) -> None:
    stopper = Halving(factor=3, grace=None, brackets=1)
    stopper.bind(steps=27, seed=0, enqueued=0, warm=warm)
    for step in range(1, 28):
        stopper.report(0, step, 0.1)
    assert set(stopper.rungs) == rungs


@pytest.mark.parametrize("wrong", [{"factor": 1}, {"grace": 0}, {"brackets": 0}])
def test_bad_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected at least"):
        Halving(**({"factor": 3, "grace": 1, "brackets": 1, "bar": False} | wrong))  # type: ignore[arg-type]
