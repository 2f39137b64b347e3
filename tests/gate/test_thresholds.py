"""The rules of a gate on answers that are known, and its statistics against references."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from renate.errors import ConfigError
from renate.gate.answers import Answers, answers_of
from renate.gate.base import Comparison, Pair
from renate.gate.statistics import calibration_error, calibration_interval, mean_interval
from renate.gate.thresholds import Thresholds
from renate.jobs.scoring.regression_set import FILE, regression_of
from renate.problems.classification import Classification
from renate.problems.multi_label import MultiLabel
from renate.problems.regression import Regression

RULES: dict[str, Any] = {
    "min_gain": None,
    "max_forgetting": None,
    "max_negative_flips": None,
    "max_slice_drop": None,
    "max_calibration_rise": None,
    "max_latency": None,
    "max_size": None,
    "intervals": {"confidence": 0.95, "resamples": 500, "min_examples": 20},
}


def gate(**rules: Any) -> Thresholds:
    return Thresholds(**RULES | rules)


def answers(right: int, count: int, *, shift: int = 0) -> Answers:
    """`right` of `count` answers are right, from the one at `shift` on."""
    flags = np.roll(np.arange(count) < right, shift)
    return Answers(flags.astype(np.float64), flags)


def pair(before: int, after: int, count: int, *, shift: int = 0) -> Pair:
    return Pair(answers(before, count), answers(after, count, shift=shift))


def compared(new: Pair, **more: Any) -> Comparison:
    return Comparison(new, "validation data", seed=3, **more)


def test_an_interval_is_that_of_scipys_bootstrap() -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 200)
    found = mean_interval(values, confidence=0.9, resamples=4000, seed=1)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=4000, method="percentile", rng=2
    ).confidence_interval
    assert found.value == values.mean()
    assert (found.low, found.high) == pytest.approx(tuple(reference), abs=0.01)
    again = mean_interval(values, confidence=0.9, resamples=4000, seed=1)
    assert again == found, "the same seed draws the same"


def test_an_interval_covers_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    hits = 0
    for number in range(300):
        values = draw.normal(0.5, 1, 80)
        found = mean_interval(values, confidence=0.9, resamples=300, seed=number)
        hits += found.low <= 0.5 <= found.high
    assert 0.84 <= hits / 300 <= 0.94


def test_calibration_error_is_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 4, generator=generator, dtype=torch.float64) * 2
    targets = torch.randint(4, (500,), generator=generator)
    reference = multiclass_calibration_error(logits.softmax(1), targets, 4, n_bins=15)
    problem = Classification()
    problem.restore([0, 1, 2, 3], {})
    found = answers_of([(logits[:200], targets[:200]), (logits[200:], targets[200:])], problem)
    assert found.right is not None
    assert found.confidence is not None
    assert calibration_error(found.right, found.confidence) == pytest.approx(float(reference))
    assert found.right.tolist() == (logits.argmax(1) == targets).tolist()

    sure = answers_of([(logits * 5, targets)], problem)
    rise = calibration_interval(found, sure, confidence=0.95, resamples=100, seed=0)
    assert rise.value > 0
    assert rise.low <= rise.value <= rise.high


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [(150, 180, "promote"), (150, 150, "promote"), (151, 150, "hold"), (180, 120, "reject")],
)
def test_gain(before: int, after: int, outcome: str) -> None:
    judged = gate(min_gain=0.0).judge(compared(pair(before, after, 200, shift=7)))
    assert judged.outcome == outcome
    assert judged.measured["gain on 200 examples of validation data"] == (after - before) / 200
    assert "gate.min_gain=0 asks for at least that" in judged.reasons[0]


def test_a_gain_must_be_as_large_as_asked() -> None:
    assert gate(min_gain=0.1).judge(compared(pair(100, 101, 200))).outcome == "reject"
    assert gate(min_gain=0.1).judge(compared(pair(100, 115, 200))).outcome == "hold"
    assert gate(min_gain=-0.1).judge(compared(pair(115, 100, 200))).outcome == "promote"


def test_negative_flips_count_what_was_right() -> None:
    # As many are right as before, but others: 40 of 200 were right and are wrong
    judged = gate(max_negative_flips=0.05).judge(compared(pair(100, 100, 200, shift=40)))
    assert judged.outcome == "reject"
    assert judged.measured["negative flips on 200 examples of validation data"] == 0.2


def test_forgetting_and_slices() -> None:
    new = pair(100, 150, 200)
    rules = gate(max_forgetting=0.02, max_slice_drop=0.05)
    lost = pair(180, 100, 200)
    judged = rules.judge(compared(new, regression=lost, classes={"class a": new}))
    assert judged.outcome == "reject"
    assert judged.reasons[0].startswith("forgetting on 200 examples of the regression set: +0.4")
    judged = rules.judge(compared(new, regression=new, tests={"us": lost, "eu": new}))
    assert judged.outcome == "reject"
    assert judged.reasons[0].startswith("drop on 200 examples of test set us")
    # Of a class with few examples nothing is said
    few = {"class b": pair(9, 0, 10)}
    assert rules.judge(compared(new, regression=new, classes=few)).outcome == "promote"
    # A slice that the config names is asked for: it rejects, and nothing passes untold
    judged = rules.judge(compared(new, regression=new, slices={"carrier=AA": lost}))
    assert judged.outcome == "reject"
    assert judged.reasons[0].startswith("drop on 200 examples of carrier=AA")
    judged = rules.judge(compared(new, regression=new, slices={"carrier=AA": pair(9, 0, 10)}))
    assert judged.outcome == "hold"
    assert "carrier=AA has 10 examples of validation data" in judged.reasons[0]


def test_latency_holds_and_size_rejects() -> None:
    new = pair(100, 150, 200)
    slow = compared(new, seconds=(0.1, 0.3), sizes=(1000, 1000))
    assert gate(max_latency=2.0).judge(slow).outcome == "hold"
    assert gate(max_latency=4.0).judge(slow).outcome == "promote"
    large = compared(new, sizes=(1000, 3000))
    assert gate(max_size=2.0).judge(large).outcome == "reject"


def test_what_cannot_be_told_lets_nothing_pass() -> None:
    few = gate(min_gain=0.0).judge(compared(pair(5, 19, 19)))
    assert few.outcome == "hold"
    assert "19 examples of validation data are too few" in few.reasons[0]
    better = pair(100, 150, 200)
    for regression in (None, pair(5, 5, 19)):
        judged = gate(min_gain=0.0, max_forgetting=0.1).judge(
            compared(better, regression=regression)
        )
        assert judged.outcome == "hold"
        assert "forgetting can't be told" in judged.reasons[0]
    judged = gate(max_slice_drop=0.1).judge(compared(better, tests={"us": pair(5, 5, 19)}))
    assert judged.outcome == "hold"
    assert "test set us has 19 examples" in judged.reasons[0]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "are null, so it asks for nothing"),
        ({"min_gain": "much"}, "gate.min_gain=much: expected a number, or null"),
        ({"max_forgetting": -1}, "gate.max_forgetting=-1: expected a number, 0 or more, or null"),
        ({"max_size": float("nan")}, "gate.max_size=nan: expected a number"),
        ({"max_size": True}, "gate.max_size=True: expected a number"),
        ({"max_size": 2, "intervals": {"confidense": 1}}, "did you mean 'confidence'"),
        ({"max_size": 2, "intervals": {"confidence": 0.9}}, "gate.intervals lacks 'resamples'"),
        (
            {"max_size": 2, "intervals": RULES["intervals"] | {"confidence": 1.0}},
            "confidence=1: expected 0.5 or more, below 1",
        ),
        (
            {"max_size": 2, "intervals": RULES["intervals"] | {"resamples": 5}},
            "resamples=5: expected a whole number, 100 or more",
        ),
    ],
)
def test_rules_that_are_none(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        gate(**rules)


def test_rules_of_another_problem() -> None:
    with pytest.raises(ConfigError, match="max_negative_flips=0.1: problem=regression has no such"):
        gate(max_negative_flips=0.1).check(Regression(standardise=False))
    with pytest.raises(ConfigError, match="max_calibration_rise=0.1: problem=multi_label has no"):
        gate(max_calibration_rise=0.1).check(MultiLabel(0.5))


def test_grades_of_each_problem() -> None:
    numbers = Regression(standardise=True)
    numbers.restore(["y"], {"mean": [10.0], "scale": [2.0]})
    outputs = torch.tensor([[0.0], [1.0]])
    graded = answers_of([(outputs, torch.tensor([[0.5], [1.0]]))], numbers)
    assert graded.grades.tolist() == [-1.0, 0.0]
    assert graded.right is None

    several = MultiLabel(0.5)
    several.restore(["a", "b"], {})
    flags = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    graded = answers_of([(torch.tensor([[3.0, -3.0], [3.0, -3.0]]), flags)], several)
    assert graded.grades.tolist() == [1.0, 0.0]
    assert graded.right is not None
    assert graded.right.tolist() == [True, False]


def test_classes_that_a_version_lacks_take_nothing_of_its_probabilities() -> None:
    problem = Classification()
    problem.restore(["a", "b", "c", "d"], {})
    # Two known classes; the places of the two new ones hold the smallest known logit
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    found = answers_of([(logits, torch.tensor([0]))], problem, 2)
    assert found.confidence is not None
    assert found.confidence[0] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    every = answers_of([(logits, torch.tensor([0]))], problem)
    assert every.confidence is not None
    assert every.confidence[0] < found.confidence[0]


def test_a_regression_set_of_no_examples_is_none() -> None:
    problem = Classification()
    problem.restore([0, 1], {})
    like = {"inputs": torch.zeros(3, 2), "targets": torch.zeros(3).long()}
    manifest = SimpleNamespace(version=1, files={FILE: None})
    saved: Any = SimpleNamespace(manifest=manifest, state=SimpleNamespace(url="s"))
    for rows in (0, 2):
        kept = {name: column[:rows] for name, column in like.items()}
        saved.tensors = lambda name, kept=kept: kept
        found = regression_of(saved, like, problem, 200)
        assert (found is None) == (rows == 0)
