"""Tests of two samples: pure functions of arrays.

A p-value says how surprising the difference is if there is none; an effect says how large it is,
whatever the number of examples. With many examples every p-value is small, so effects decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Codes = np.ndarray[tuple[int], np.dtype[np.int64]]

AT_ONCE = 2000  # rows of a kernel matrix that are computed together
PAIRS = 2000  # examples by which the kernel's width is chosen
FEWEST = 5.0  # that a cell must expect for chi-square's own distribution to hold (Cochran, 1954)
TABLES = 4999  # that are drawn then
ROUNDING = 1e-9  # of a mean: what differs by less is the same


@dataclass(frozen=True)
class Found:
    """What one test says.

    Attributes:
        statistic: In the test's own units.
        p_value: Between 0 and 1.
        effect: How large the difference is: see each test.
    """

    statistic: float
    p_value: float
    effect: float


def numbers(before: Vector, now: Vector) -> Found:
    """The test of Kolmogorov and Smirnov; its effect is the distance of Wasserstein in standard
    deviations of `before` (of both together, where that is 0).
    """
    from scipy import stats  # lazy: most updates ask for no test

    found = stats.ks_2samp(before, now)
    spread = spread_of(before) or spread_of(np.concatenate([before, now]))
    distance = float(stats.wasserstein_distance(before, now))
    return Found(float(found.statistic), float(found.pvalue), distance / spread if spread else 0.0)


def spread_of(values: Vector) -> float:
    """Return the standard deviation; 0 where values differ by rounding alone, as those of a
    constant do from their mean.
    """
    spread = float(values.std())
    return spread if spread > ROUNDING * abs(float(values.mean())) else 0.0


def categories(before: Codes, now: Codes) -> Found:
    """Pearson's chi-square test of two samples of codes; its effect is Cramér's V, 0 to 1.

    Where a cell expects few examples, the p-value is the share of random tables with the same sums
    that differ as much: rare categories would raise a false alarm every few times otherwise.
    """
    from scipy import stats

    codes, places = np.unique(np.concatenate([before, now]), return_inverse=True)
    if len(codes) < 2:
        return Found(0.0, 1.0, 0.0)

    parts = (places[: len(before)], places[len(before) :])
    table = np.stack([np.bincount(part, minlength=len(codes)) for part in parts])
    found = stats.chi2_contingency(table, correction=False)
    statistic = float(found.statistic)
    p_value = float(found.pvalue)
    if found.expected_freq.min() < FEWEST:
        p_value = _share_of_tables(table, statistic)

    effect = np.sqrt(statistic / (len(before) + len(now)))
    return Found(statistic, p_value, float(effect))


def _share_of_tables(table: Codes, statistic: float) -> float:
    """The share of random tables [2, K] with the same sums whose chi-square is at least that.

    A category of one example adds M / N where that is among the N of the second sample, else
    N / M, so that all such are drawn as one.
    """
    first, second = (int(count) for count in table.sum(1))
    sums = table.sum(0)
    common = sums[sums > 1]
    single = int((sums == 1).sum())
    expected = common * (second / (first + second))
    weight = 1 / expected + 1 / (common - expected)

    generator = np.random.default_rng(0)
    step = max(1, AT_ONCE * 1000 // (len(common) + 1))
    above = 0
    for begin in range(0, TABLES, step):
        drawn = generator.multivariate_hypergeometric(
            [*common, single], second, size=min(step, TABLES - begin), method="marginals"
        )
        values = ((drawn[:, :-1] - expected) ** 2 * weight).sum(1)
        values += drawn[:, -1] * (first / second) + (single - drawn[:, -1]) * (second / first)
        # Rounding must not tell equal tables apart
        above += int((values >= statistic * (1 - 1e-9)).sum())

    return (above + 1) / (TABLES + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, corrected so that at level a at most a share a of all families
    of true nulls shows any (Holm, 1979).
    """
    order = np.argsort(np.asarray(p_values), kind="stable")
    corrected = np.zeros(len(p_values))
    largest = 0.0
    for place, index in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest

    return [float(value) for value in corrected]


def kernel_mmd(before: Matrix, now: Matrix, *, permutations: int, seed: int) -> Found:
    """The squared maximum mean discrepancy with a Gaussian kernel, and a permutation test (Gretton
    et al., 2012, JMLR 13, eq. 3 and section 5).

    The width is the median distance of the two samples together. The kernel matrix is computed
    `AT_ONCE` rows at a time, and only its products with the permuted groups are kept: memory is in
    proportion to rows times permutations.

    Args:
        before: [N, D].
        now: [M, D].
        permutations: How many; the smallest p-value is 1 / (permutations + 1).
        seed: Of the permutations.

    Returns:
        The unbiased estimate, which may be negative; the effect is the square root of what is above
        0 of it.
    """
    together = np.concatenate([before, now])
    # Distances are differences of squares, whose digits a large common part would take
    together = together - together.mean(0)
    rows = len(together)
    first = len(before)
    generator = np.random.default_rng(seed)
    gamma = _gamma(together, generator)

    # Column 0 is the grouping as it is
    groups = np.zeros((rows, permutations + 1))
    groups[:first, 0] = 1
    for column in range(1, permutations + 1):
        groups[generator.permutation(rows)[:first], column] = 1

    products = np.empty_like(groups)
    total = 0.0
    for begin in range(0, rows, AT_ONCE):
        kernel = _kernel(together[begin : begin + AT_ONCE], together, gamma)
        kernel[np.arange(len(kernel)), np.arange(begin, begin + len(kernel))] = 0
        products[begin : begin + AT_ONCE] = kernel @ groups
        total += float(kernel.sum())

    within_first = (groups * products).sum(0)
    to_first = products.sum(0)
    across = to_first - within_first
    within_second = total - within_first - 2 * across
    second = rows - first
    values = (
        within_first / (first * (first - 1))
        + within_second / (second * (second - 1))
        - 2 * across / (first * second)
    )
    # Rounding must not tell equal groupings apart
    above = int((values[1:] >= values[0] - 1e-12).sum())
    p_value = (above + 1) / (permutations + 1)
    return Found(float(values[0]), p_value, float(np.sqrt(max(values[0], 0.0))))


def classifier(before: Matrix, now: Matrix, *, seed: int) -> Found:
    """How well a classifier tells the samples apart (Lopez-Paz and Oquab, 2017,
    https://arxiv.org/abs/1610.06545): logistic regression, fitted to one half of equally many of
    each and asked about the other half, so that the binomial test is exact. The effect is its
    accuracy above chance, 0 to 1.
    """
    from scipy import stats
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    generator = np.random.default_rng(seed)
    count = min(len(before), len(now))
    samples = [part[generator.permutation(len(part))[:count]] for part in (before, now)]
    half = count // 2
    model: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    model.fit(np.concatenate([part[:half] for part in samples]), np.repeat([0, 1], half))

    asked = [model.predict(part[half:]) for part in samples]
    right = int((asked[0] == 0).sum() + (asked[1] == 1).sum())
    total = 2 * (count - half)
    test = stats.binomtest(right, total, 0.5, alternative="greater")
    accuracy = right / total
    return Found(accuracy, float(test.pvalue), max(0.0, 2 * accuracy - 1))


def _gamma(together: Matrix, generator: np.random.Generator) -> float:
    picked = together[generator.permutation(len(together))[:PAIRS]]
    distances = _squared_distances(picked, picked)
    found = distances[np.triu_indices(len(picked), 1)]
    median = float(np.median(found)) if len(found) else 0.0
    if median == 0:  # most examples are alike
        positive = found[found > 0]
        median = float(positive.mean()) if len(positive) else 1.0
    return 1 / median


def _kernel(rows: Matrix, columns: Matrix, gamma: float) -> Matrix:
    found: Matrix = np.exp(-gamma * _squared_distances(rows, columns))
    return found


def _squared_distances(rows: Matrix, columns: Matrix) -> Matrix:
    squares = (rows**2).sum(1)[:, None] + (columns**2).sum(1)[None, :] - 2 * rows @ columns.T
    found: Matrix = np.maximum(squares, 0.0)
    return found
