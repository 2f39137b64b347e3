"""The reservoir's statistics, against the exact law and against known wrong variants."""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2

from renate.memory.random import DRAWS, KEYS, uniform
from renate.memory.top_keys import TopKeys


def keyed(seed: int, n: int, capacity: int, batch: int) -> set[int]:
    """Ids that a keyed reservoir holds after a stream of n, offered in batches."""
    top = TopKeys(capacity)
    held = np.full(capacity, -1)
    for first in range(0, n, batch):
        count = min(batch, n - first)
        slots, rows = top.offer(uniform(KEYS, seed, range(first, first + count)))
        assert len(np.unique(slots)) == len(slots)
        held[slots] = first + rows
    return set(held[: min(n, capacity)].tolist())


def algorithm_r(
    seed: int, n: int, capacity: int, *, batch: int = 1, last_wins: bool = True, off: int = 1
) -> set[int]:
    """Algorithm R by batches, with its known mistakes: the first write wins, one bound for a
    batch, off by one.
    """
    rng = np.random.default_rng(seed)
    held = np.full(capacity, -1)
    for first in range(0, n, batch):
        ids = np.arange(first, min(first + batch, n))
        bounds = ids if off <= 1 else np.full(len(ids), ids[-1])
        slots = np.where(
            ids < capacity, ids, (rng.random(len(ids)) * (bounds + min(off, 1))).astype(int)
        )
        for slot, item in zip(
            slots[:: 1 if last_wins else -1], ids[:: 1 if last_wins else -1], strict=True
        ):
            if slot < capacity:
                held[slot] = item
    return set(held.tolist())


def p_value(sample: Callable[[int], set[int]], runs: int, n: int, capacity: int) -> float:
    """Chi-square of how often each id is kept, against capacity / n (with the variance of
    drawing without return).
    """
    counts = np.zeros(n)
    for seed in range(runs):
        counts[list(sample(seed))] += 1
    expected = runs * capacity / n
    statistic = ((counts - expected) ** 2).sum() / (expected * (1 - capacity / n)) * (n - 1) / n
    return float(chi2.sf(statistic, n - 1))


@pytest.mark.slow
@pytest.mark.parametrize("batch", [7, 32, 100])
def test_inclusion_is_uniform(batch: int) -> None:
    assert p_value(lambda seed: keyed(seed, 100, 10, batch), 3000, 100, 10) > 0.01


@pytest.mark.slow
def test_the_reference_passes_the_same_test() -> None:
    assert p_value(lambda seed: algorithm_r(seed, 100, 10), 3000, 100, 10) > 0.01


@pytest.mark.parametrize(
    ("wrong", "n", "capacity"),
    [
        (lambda seed: algorithm_r(seed, 100, 10, batch=32, last_wins=False), 100, 10),
        pytest.param(
            lambda seed: algorithm_r(seed, 100, 10, batch=32, off=2),
            100,
            10,
            marks=pytest.mark.slow,
        ),
        (lambda seed: algorithm_r(seed, 6, 2, off=0), 6, 2),
    ],
    ids=["first write wins", "one bound for a batch", "randint(0, t)"],
)
def test_the_known_wrong_variants_fail_it(
    wrong: Callable[[int], set[int]], n: int, capacity: int
) -> None:
    assert p_value(wrong, 3000, n, capacity) < 1e-6
    assert p_value(lambda seed: keyed(seed, n, capacity, 4), 3000, n, capacity) > 0.01


def test_every_subset_is_equally_likely() -> None:
    runs = 8000
    subsets = {frozenset(c): 0 for c in combinations(range(8), 3)}
    for seed in range(runs):
        subsets[frozenset(keyed(seed, 8, 3, 3))] += 1
    expected = runs / len(subsets)
    statistic = sum((count - expected) ** 2 for count in subsets.values()) / expected
    assert chi2.sf(statistic, len(subsets) - 1) > 0.01


@pytest.mark.parametrize("capacity", [1, 10, 300, 5000])
def test_contents_do_not_depend_on_batches(capacity: int) -> None:
    n = 4000
    keys = uniform(KEYS, 5, range(n))
    best = set(np.argsort(keys)[-capacity:].tolist())
    for batch in (1, 7, 128, 5000):
        assert keyed(5, n, capacity, batch) == best


def test_shards_merge_exactly() -> None:
    keys = uniform(KEYS, 9, range(1000))
    shards: Iterator[np.ndarray] = (np.arange(1000)[rank::4] for rank in range(4))  # type: ignore[type-arg]
    survivors = np.concatenate([ids[np.argsort(keys[ids])[-50:]] for ids in shards])
    merged = set(survivors[np.argsort(keys[survivors])[-50:]].tolist())
    assert merged == keyed(9, 1000, 50, 64)


def test_uniform_is_uniform_and_independent_of_neighbours() -> None:
    u = np.concatenate([uniform(KEYS, seed, range(2000)) for seed in range(50)])
    assert u.min() > 0
    assert u.max() < 1
    counts = np.histogram(u, 100, (0, 1))[0]
    assert chi2.sf(((counts - len(u) / 100) ** 2).sum() / (len(u) / 100), 99) > 0.01
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01
    assert (
        abs(np.corrcoef(uniform(KEYS, 1, range(5000)), uniform(KEYS, 2, range(5000)))[0, 1]) < 0.05
    )
    assert (
        abs(np.corrcoef(uniform(KEYS, 1, range(5000)), uniform(DRAWS, 1, range(5000)))[0, 1]) < 0.05
    )


def test_a_counter_can_be_entered_anywhere() -> None:
    assert np.array_equal(uniform(DRAWS, 3, range(100))[40:], uniform(DRAWS, 3, range(40, 100)))
