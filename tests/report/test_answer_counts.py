"""Counts of answers: against a count by hand, and what a stranger may write in their place."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renate.fitting.measured.answer_counter import AnswerCounter
from renate.gate.statistics import calibration_error
from renate.problems.classification import Classification
from renate.state.measured.answer_counts import BINS, AnswerCounts, together


def counted(logits: torch.Tensor, targets: torch.Tensor, parts: int = 1) -> AnswerCounts:
    problem = Classification()
    problem.labels = list(range(logits.shape[1]))
    counter = AnswerCounter(problem)
    for some, few in zip(logits.chunk(parts), targets.chunk(parts), strict=True):
        counter.take(some, few)
    found = counter.counts()
    assert found is not None
    return found


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), rows=st.integers(1, 60), classes=st.integers(2, 6))
def test_as_counted_by_hand(seed: int, rows: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=generator)
    targets = torch.randint(0, classes, (rows,), generator=generator)
    found = counted(logits, targets, parts=min(rows, 3))

    pairs = list(zip(targets.tolist(), logits.argmax(1).tolist(), strict=True))
    assert found.confusion == {pair: pairs.count(pair) for pair in pairs}
    assert found.examples == rows
    assert found.right == sum(truth == answer for truth, answer in pairs)
    for each, (right, examples) in found.by_class().items():
        own = [answer for truth, answer in pairs if truth == each]
        assert (right, examples) == (own.count(each), len(own))

    sure = logits.double().softmax(1).amax(1).numpy()
    right = (logits.argmax(1) == targets).numpy()
    assert found.calibration_error() == pytest.approx(calibration_error(right, sure))
    again = AnswerCounts.from_json(found.to_json(), "answers")
    assert again == found
    assert together([found, found]) == found + found
    assert (found + found).examples == 2 * rows


def test_a_newer_class_takes_no_share_of_an_older_versions_probabilities() -> None:
    problem = Classification()
    problem.labels = [0, 1, 2]
    logits = torch.tensor([[2.0, 0.0, 0.0]])
    older = AnswerCounter(problem, outputs=2)
    older.take(logits, torch.tensor([0]))
    found = older.counts()
    assert found is not None
    expected = float(logits[:, :2].double().softmax(1).amax())
    assert sum(each.confidence for each in found.bins) == pytest.approx(expected)


WHOLE: dict[str, Any] = {
    "confusion": [[0, 0, 3], [1, 0, 1]],
    "bins": [[0, 0, 0.0]] * (BINS - 1) + [[4, 3, 3.5]],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confusion": [[0, 0, 3], [0, 0, 1]]}, "names a pair twice"),
        ({"confusion": [[0, 0]]}, "expected truth, answer and examples"),
        ({"confusion": [[0, 0, -1]]}, r"a.confusion\[0\]\[2\] is -1"),
        ({"confusion": []}, "bins have 4 examples, its confusion 0"),
        ({"bins": WHOLE["bins"][1:]}, f"has {BINS - 1} items, expected {BINS}"),
        ({"bins": [*WHOLE["bins"][:-1], [4, 5, 3.5]]}, r"\[1\] is 5, expected 0 to 4"),
        ({"bins": [*WHOLE["bins"][:-1], [4, 3, 9.0]]}, r"\[2\] is 9.0, expected 0 to 4"),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_a_strangers_counts(change: dict[str, Any], message: str) -> None:
    assert AnswerCounts.from_json(WHOLE, "a").right == 3
    with pytest.raises(ValueError, match=message):
        AnswerCounts.from_json(WHOLE | change, "a")
