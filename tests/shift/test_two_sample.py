"""The tests of two samples against definitions, and how they behave where nothing has moved."""

import numpy as np
import pytest
import scipy.stats

from renate.shift import two_sample
from renate.shift.two_sample import categories, classifier, holm, kernel_mmd, numbers


def samples(seed: int, *, shift: float = 0.0, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    draw = np.random.default_rng(seed)
    return draw.normal(0, 1, (rows, 3)), draw.normal(shift, 1, (rows + 7, 3))


def test_mmd_is_its_definition() -> None:
    before, now = samples(0)
    together = np.concatenate([before, now])
    distances = np.array([[((a - b) ** 2).sum() for b in together] for a in together])
    gamma = 1 / np.median(distances[np.triu_indices(len(together), 1)])
    kernel = np.exp(-gamma * distances)
    m = len(before)
    n = len(now)
    xx = kernel[:m, :m].sum() - m
    yy = kernel[m:, m:].sum() - n
    expected = xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * kernel[:m, m:].mean()
    found = kernel_mmd(before, now, permutations=19, seed=0)
    assert found.statistic == pytest.approx(expected, abs=1e-12)


def test_mmd_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    both = samples(1, shift=0.3)
    whole = kernel_mmd(*both, permutations=99, seed=4)
    monkeypatch.setattr(two_sample, "AT_ONCE", 11)
    parts = kernel_mmd(*both, permutations=99, seed=4)
    assert parts.p_value == whole.p_value
    assert parts.statistic == pytest.approx(whole.statistic, abs=1e-12)


@pytest.mark.slow
def test_where_nothing_moved_p_values_are_uniform() -> None:
    tests = {
        "mmd": [kernel_mmd(*samples(s), permutations=99, seed=s).p_value for s in range(150)],
        "classifier": [classifier(*samples(s), seed=s).p_value for s in range(150)],
        "numbers": [numbers(*(part[:, 0] for part in samples(s))).p_value for s in range(150)],
    }
    for name, values in tests.items():
        share = np.mean(np.array(values) < 0.1)
        assert 0.02 <= share <= 0.19, (name, share)


def test_a_shift_is_found_and_its_size_told() -> None:
    draw = np.random.default_rng(2)
    found = numbers(draw.normal(5, 2, 3000), draw.normal(6, 2, 3000))
    assert found.p_value < 1e-6
    assert found.effect == pytest.approx(0.5, abs=0.1)
    both = samples(3, shift=1.0)
    assert kernel_mmd(*both, permutations=199, seed=0).p_value == 1 / 200
    assert classifier(*both, seed=0).p_value < 0.01
    assert numbers(np.ones(40), np.ones(50)).effect == 0.0


def test_what_all_numbers_have_in_common_counts_for_nothing() -> None:
    generator = np.random.default_rng(0)
    before = generator.normal(size=(200, 3))
    now = generator.normal(1.0, size=(200, 3))
    expected = kernel_mmd(before, now, permutations=19, seed=0)
    far = kernel_mmd(before + 1e10, now + 1e10, permutations=19, seed=0)
    assert far.effect == pytest.approx(expected.effect, rel=1e-3)
    assert far.p_value == 0.05


def test_a_constant_that_moves_has_an_effect_of_some_deviations() -> None:
    """The deviation of so many 0.1 is no 0, by rounding."""
    before = np.full(1000, 0.1)
    assert before.std() > 0
    now = before + np.random.default_rng(0).normal(size=1000)
    assert 0.5 < numbers(before, now).effect < 2
    assert numbers(before, before.copy()).effect == 0


def test_categories_are_pearsons() -> None:
    before = np.array([0] * 30 + [1] * 30)
    now = np.array([0] * 20 + [1] * 30 + [2] * 10)
    table = np.array([[30.0, 30, 0], [20, 30, 10]])
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    found = categories(before, now)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(scipy.stats.chi2.sf(statistic, 2))
    assert found.effect == pytest.approx((statistic / 120) ** 0.5)
    assert categories(np.ones(5, int), np.ones(7, int)).p_value == 1.0


def test_holm_is_its_definition() -> None:
    values = [0.01, 0.04, 0.03, 0.005]
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, and never less than the one before
    assert holm(values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_rare_categories_raise_no_false_alarm() -> None:
    draw = np.random.default_rng(2)
    share = 1 / np.arange(1, 301) ** 1.3
    share /= share.sum()
    alarms = 0
    for _ in range(30):
        before, now = (draw.choice(300, rows, p=share) for rows in (400, 30))
        alarms += two_sample.categories(before, now).p_value < 0.05
    assert alarms <= 4, "5 % of 30, and two standard deviations; chi-square alone has every fourth"


def test_rare_categories_have_fishers_p_value() -> None:
    before = np.array([0] * 40 + [1] * 2)
    now = np.array([0] * 10 + [1] * 3)
    found = two_sample.categories(before, now)
    exact = scipy.stats.fisher_exact([[40, 2], [10, 3]]).pvalue
    assert found.p_value == pytest.approx(exact, abs=0.02)

    # Categories of one example each say nothing
    found = two_sample.categories(np.arange(50), np.arange(50, 70))
    assert found.p_value == 1.0
