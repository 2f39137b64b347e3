"""The stream's metrics against the definitions, term by term, and worked examples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renate.build import build, infer, shipped
from renate.metrics import (
    average_accuracy,
    backward_transfer,
    flips,
    forgetting,
    forward_transfer,
    learning_accuracy,
    micro_average,
    negative_flip_rate,
)

MATRIX = [[0.9, 0.1, 0.2], [0.6, 0.8, 0.3], [0.7, 0.5, 0.95]]


def test_by_hand() -> None:
    assert average_accuracy(MATRIX) == pytest.approx((0.7 + 0.5 + 0.95) / 3)
    assert backward_transfer(MATRIX) == pytest.approx(((0.7 - 0.9) + (0.5 - 0.8)) / 2)
    assert forgetting(MATRIX) == pytest.approx(((0.9 - 0.7) + (0.8 - 0.5)) / 2)
    assert forward_transfer(MATRIX, [0.3, 0.15, 0.1]) == pytest.approx(
        ((0.1 - 0.15) + (0.3 - 0.1)) / 2
    )
    assert learning_accuracy(MATRIX) == pytest.approx((0.9 + 0.8 + 0.95) / 3)


@pytest.mark.parametrize(
    ("column", "expected"), [([0.95, 0.90, 0.97], -0.02), ([0.90, 0.95, 0.85], 0.10)]
)
def test_forgetting_of_one_old_task(column: list[float], expected: float) -> None:
    """Chaudhry et al., 2018: the best so far against now; negative where now is better."""
    matrix = [[value, 0.0, 0.0] for value in column]
    only_first = forgetting(matrix) * 2 - 0.0  # the other old task contributes max(0, 0) - 0
    assert only_first == pytest.approx(expected)


def test_one_update() -> None:
    assert (backward_transfer([[0.5]]), forgetting([[0.5]]), forward_transfer([[0.5]], [0.1])) == (
        0.0,
        0.0,
        0.0,
    )
    assert average_accuracy([[0.5]]) == learning_accuracy([[0.5]]) == 0.5


def test_chunks_still_to_come_count_in_no_average() -> None:
    for metric in (average_accuracy, backward_transfer, forgetting, learning_accuracy):
        assert metric(MATRIX[:2]) == metric([row[:2] for row in MATRIX[:2]])
    assert forward_transfer(MATRIX[:2], [0.3, 0.15, 0.1]) == pytest.approx(0.1 - 0.15)


@pytest.mark.parametrize(
    "make", [np.array, lambda m: torch.tensor(m, dtype=torch.float64)], ids=["numpy", "torch"]
)
def test_arrays_and_tensors_give_plain_numbers(make: Callable[[list[list[float]]], Any]) -> None:
    for metric in (average_accuracy, backward_transfer, forgetting, learning_accuracy):
        assert type(metric(make(MATRIX))) is float
        assert metric(make(MATRIX)) == pytest.approx(metric(MATRIX))


@pytest.mark.parametrize("matrix", [[], [[0.5], [0.5]]])
def test_a_matrix_needs_a_column_per_row(matrix: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="expected a column per row"):
        forgetting(matrix)


def test_negative_flips() -> None:
    old = torch.tensor([0, 1, 2, 0])
    new = torch.tensor([0, 2, 2, 1])
    targets = torch.tensor([0, 1, 1, 1])
    reference = (
        sum(
            o == t != n
            for o, n, t in zip(old.tolist(), new.tolist(), targets.tolist(), strict=True)
        )
        / 4
    )
    assert negative_flip_rate(old, new, targets) == reference == 0.25
    assert negative_flip_rate(old, old, targets) == 0.0


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(
            st.lists(st.floats(0, 1), min_size=n, max_size=n), min_size=n, max_size=n
        )
    )
)
def test_against_a_reference(matrix: list[list[float]]) -> None:
    last = len(matrix) - 1
    drops = []
    gains = []
    for chunk in range(last):
        best = matrix[0][chunk]
        for row in range(1, last):
            best = max(best, matrix[row][chunk])
        drops.append(best - matrix[last][chunk])
        gains.append(matrix[last][chunk] - matrix[chunk][chunk])
    assert forgetting(matrix) == pytest.approx(sum(drops) / last if last else 0.0)
    assert backward_transfer(matrix) == pytest.approx(sum(gains) / last if last else 0.0)
    assert -1 <= forgetting(matrix) <= 1


def test_each_example_counts_alike_in_the_micro_average() -> None:
    assert micro_average(MATRIX, [100, 300, 600]) == pytest.approx(
        (100 * 0.7 + 300 * 0.5 + 600 * 0.95) / 1000
    )
    assert micro_average(MATRIX, [7, 7, 7]) == pytest.approx(average_accuracy(MATRIX))
    assert micro_average(MATRIX[:2], [1, 3, 100]) == pytest.approx((0.6 + 3 * 0.8) / 4)
    for sizes in ([1, 2], [1, 0, 2]):
        with pytest.raises(ValueError, match="expected 3 of 1 or more"):
            micro_average(MATRIX, sizes)


def test_flips_by_hand() -> None:
    """Of ten: four stay right, two turn wrong, three turn right, one stays wrong."""
    old = torch.tensor([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.bool)
    new = torch.tensor([1, 1, 1, 1, 0, 0, 1, 1, 1, 0], dtype=torch.bool)
    assert flips(old, new) == {
        "negative_flip_rate": 2 / 10,
        "negative_flip_impact": 2 / 3,
        "positive_flip_rate": 3 / 10,
        "positive_flip_impact": 3 / 7,
    }
    assert set(flips(old, old).values()) == {0.0}
    every = torch.ones(4, dtype=torch.bool)
    assert flips(~every, every)["negative_flip_impact"] == 0.0, "nothing is wrong now"
    assert flips(every, ~every)["positive_flip_impact"] == 0.0


def test_libraries_differ_where_the_best_was_not_the_first() -> None:
    """As docs/metrics.md has it: one old task, by Chaudhry, by Avalanche and by Mammoth."""
    for column, chaudhry, avalanche, mammoth in (
        ([0.95, 0.90, 0.97], -0.02, -0.02, 0.0),
        ([0.90, 0.95, 0.85], 0.10, 0.05, 0.10),
    ):
        first, best, last = column[0], max(column[:-1]), column[-1]
        assert forgetting([[value, 0.0, 0.0] for value in column]) * 2 == pytest.approx(chaudhry)
        assert first - last == pytest.approx(avalanche)
        assert max(best, last) - last == pytest.approx(mammoth)


def test_calibration_by_hand() -> None:
    """Bins of a fifteenth: two answers of 0.95 of which one is right, two of 0.55 both right."""
    metric = shipped("metrics", "classification_detailed")["ece"]
    measured = build(infer(metric, {"num_classes": 2}), "metrics.ece")
    logits = torch.log(torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.45, 0.55]]))
    measured.update(logits, torch.tensor([0, 1, 0, 1]))
    expected = 0.5 * abs(0.95 - 0.5) + 0.5 * abs(0.55 - 1.0)
    assert float(measured.compute()) == pytest.approx(expected, abs=1e-6)
