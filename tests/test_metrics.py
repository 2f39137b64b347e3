"""The stream's metrics against the definitions, term by term, and worked examples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renate.metrics import (
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
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
