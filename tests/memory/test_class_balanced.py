"""The class-balanced memory's statistics, against the exact law and against known wrong rules."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2

from renate.memory.quotas import Quotas
from renate.memory.random import KEYS, Floats, Ints, uniform

N = 3000
CLASSES = 7
CAPACITY = 70
RUNS = 150
Rule = Callable[[int, Ints], Ints]


def keys_of(seed: int, n: int) -> Floats:
    return uniform(KEYS, seed, range(n))


def balanced(seed: int, labels: Ints, batch: int = 64) -> Ints:
    return kept_of(keys_of(seed, len(labels)), labels, CAPACITY, seed, batch)


def greedy(seed: int, labels: Ints, batch: int = 64) -> Ints:
    return kept_of(1 - (np.arange(len(labels)) + 1) * 2.0**-53, labels, CAPACITY, seed, batch)


def kept_of(keys: Floats, labels: Ints, capacity: int, seed: int = 0, batch: int = 64) -> Ints:
    """The places in a stream of what is kept of it, ascending."""
    quotas = Quotas(capacity)
    quotas.seed = seed
    held = np.full(capacity, -1)
    for first in range(0, len(keys), batch):
        slots, rows = quotas.offer(keys[first : first + batch], labels[first : first + batch])
        assert len(np.unique(slots)) == len(slots)
        held[slots] = first + rows
    return np.sort(held[held >= 0])


def newest_always_enters(seed: int, labels: Ints) -> Ints:
    """A known wrong rule: the new one enters, a random one of a largest class leaves."""
    rng = np.random.default_rng(seed)
    held: list[int] = []
    for item in range(len(labels)):
        if len(held) == CAPACITY:
            counts = np.bincount(labels[held], minlength=CLASSES)
            members = [i for i, other in enumerate(held) if labels[other] == counts.argmax()]
            del held[rng.choice(members)]
        held.append(item)
    return np.array(held)


def stream(seed: int, n: int = N) -> Ints:
    return np.random.default_rng(seed).integers(0, CLASSES, n)


def shares(rule: Rule, runs: int) -> tuple[float, float]:
    """How much of what is kept is of the newest tenth of a stream, and of its first half."""
    kept = np.concatenate([rule(seed, stream(seed)) for seed in range(runs)])
    return float((kept >= 0.9 * N).mean()), float((kept < 0.5 * N).mean())


def test_members_come_from_the_whole_stream() -> None:
    newest, first = shares(balanced, RUNS)
    # Binomial over 10,500 members: three standard errors are 0.009 and 0.015.
    assert abs(newest - 0.1) < 0.01
    assert abs(first - 0.5) < 0.015


def test_greedy_members_are_the_first() -> None:
    assert shares(greedy, 20) == (0.0, 1.0)


def test_the_known_wrong_rule_keeps_the_newest() -> None:
    newest, first = shares(newest_always_enters, 3)
    assert newest > 0.9
    assert first < 0.05


def p_value(rule: Rule, runs: int) -> float:
    """Chi-square of how often each example of a class is kept, against an equal share.

    The stream has 2 classes of 40 and 20, the memory has 20 places: 10 for each.
    """
    labels = np.arange(60) % 3 // 2
    counts = np.zeros(60)
    for seed in range(runs):
        counts[rule(seed, labels)] += 1

    statistic = 0.0
    for label, size in ((0, 40), (1, 20)):
        expected = runs * 10 / size
        # Drawn without return: the variance is that much smaller.
        left = (1 - 10 / size) * size / (size - 1)
        statistic += float(((counts[labels == label] - expected) ** 2).sum() / expected / left)
    return float(chi2.sf(statistic, 39 + 19))


@pytest.mark.parametrize("batch", [1, 7, 60])
def test_each_class_is_a_uniform_sample(batch: int) -> None:
    def rule(seed: int, labels: Ints) -> Ints:
        return kept_of(keys_of(seed, len(labels)), labels, 20, seed, batch)

    assert p_value(rule, 1000) > 0.01


def test_the_first_of_each_class_fail_that_test() -> None:
    def rule(seed: int, labels: Ints) -> Ints:
        return kept_of(1 - np.arange(1, 61) / 61, labels, 20, seed)

    assert p_value(rule, 100) < 1e-6


def filled(sizes: list[int], capacity: int) -> list[int]:
    """Water filling: one to each class in turn, the smallest first, while there is room; sorted."""
    level = [0] * len(sizes)
    left = min(capacity, sum(sizes))
    while left:
        open_ = [i for i, size in enumerate(sizes) if level[i] < size]
        for i in open_[:left]:
            level[i] += 1
        left -= min(left, len(open_))
    return sorted(level)


@pytest.mark.parametrize("seed", range(40))
def test_quotas_are_even_and_no_order_changes_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, 20))
    n = int(rng.integers(1, 400))
    capacity = int(rng.integers(1, 60))
    labels = rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 0.5)))
    keys = keys_of(seed, n)

    kept = kept_of(keys, labels, capacity, seed, int(rng.integers(1, 50)))
    sizes = np.bincount(labels, minlength=classes).tolist()
    counts = np.bincount(labels[kept], minlength=classes)
    assert sorted(counts.tolist()) == filled(sizes, capacity)
    for label, count in enumerate(counts.tolist()):
        members = np.flatnonzero(labels == label)
        best = members[np.argsort(-keys[members])[:count]]
        assert set(kept[labels[kept] == label].tolist()) == set(best.tolist())

    order = rng.permutation(n)
    shuffled = kept_of(keys[order], labels[order], capacity, seed, 13)
    assert np.array_equal(np.sort(order[shuffled]), kept)

    shards = [np.arange(n)[rank::3] for rank in range(3)]
    alive = np.concatenate([ids[kept_of(keys[ids], labels[ids], capacity, seed)] for ids in shards])
    quotas = Quotas(capacity)
    quotas.seed = seed
    merged = alive[quotas.best(keys[alive], labels[alive])]
    assert np.array_equal(np.sort(merged), kept)


def test_which_class_has_one_more_is_left_to_chance() -> None:
    more = np.zeros(3)
    for seed in range(300):
        kept = kept_of(keys_of(seed, 90), np.arange(90) % 3, 10, seed)
        more[np.bincount(kept % 3).argmax()] += 1
    assert chi2.sf(((more - 100) ** 2 / 100).sum(), 2) > 0.01


def test_what_is_held_can_be_set_again() -> None:
    quotas = Quotas(30)
    labels = stream(0, 500)
    quotas.offer(keys_of(0, 500)[:300], labels[:300])
    again = Quotas(30)
    again.set(*quotas.held())
    for one in (quotas, again):
        assert one.size == 30
    found = [q.offer(keys_of(0, 500)[300:], labels[300:]) for q in (quotas, again)]
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(quotas.held(), again.held(), strict=True))
