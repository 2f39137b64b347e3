"""Differences of paired answers, with intervals by the bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from renate.gate.answers import Answers, Flags, Numbers

BINS = 15  # of the calibration error
AT_ONCE = 4_000_000  # numbers that are drawn at a time


@dataclass(frozen=True)
class Interval:
    """A number with the bounds within which it lies.

    Attributes:
        value: As measured.
        low: The lower bound.
        high: The upper bound.
    """

    value: float
    low: float
    high: float


def mean_interval(values: Numbers, *, confidence: float, resamples: int, seed: int) -> Interval:
    """The mean of one number per example, with the percentile bootstrap's interval (Efron, 1979).

    Of paired answers these numbers are differences, so that what is drawn together is a pair.

    Args:
        values: [N], at least one.
        confidence: Between 0 and 1.
        resamples: How often N examples are drawn again.
        seed: Of the draws.
    """

    def means(draws: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> Numbers:
        found: Numbers = values[draws].mean(1)
        return found

    drawn = _resampled(len(values), means, resamples, seed)
    return _interval(float(values.mean()), drawn, confidence)


def calibration_interval(
    before: Answers, after: Answers, *, confidence: float, resamples: int, seed: int
) -> Interval:
    """How much the expected calibration error rose from one version to the other."""

    def rises(draws: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> Numbers:
        return np.array([_error_at(after, rows) - _error_at(before, rows) for rows in draws])

    every = np.arange(len(before))
    rise = _error_at(after, every) - _error_at(before, every)
    drawn = _resampled(len(before), rises, resamples, seed)
    return _interval(rise, drawn, confidence)


def calibration_error(right: Flags, confidence: Numbers) -> float:
    """The expected calibration error: how far, on average, a probability is from the share that
    is right (Guo et al., 2017, https://arxiv.org/abs/1706.04599, eq. 3; 15 bins of equal width).
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, right.astype(np.float64) - confidence, BINS)
    return float(np.abs(gaps).sum() / len(right))


def _error_at(answers: Answers, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    assert answers.right is not None
    assert answers.confidence is not None
    return calibration_error(answers.right[rows], answers.confidence[rows])


def _resampled(
    count: int,
    statistic: Callable[[np.ndarray[tuple[int, int], np.dtype[np.int64]]], Numbers],
    resamples: int,
    seed: int,
) -> Numbers:
    generator = np.random.default_rng(seed)
    step = max(1, AT_ONCE // count)
    found = []
    for begin in range(0, resamples, step):
        rows = min(step, resamples - begin)
        found.append(statistic(generator.integers(count, size=(rows, count))))

    return np.concatenate(found)


def _interval(value: float, drawn: Numbers, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]).tolist()
    return Interval(value, low, high)
