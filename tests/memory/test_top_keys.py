"""The largest keys, against a search through all of them; and how seldom all are looked through."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renate.memory import top_keys
from renate.memory.random import KEYS, uniform
from renate.memory.reservoir import Reservoir
from renate.memory.store.memory import Memory
from renate.memory.top_keys import TopKeys
from tests.memory.examples import rows


class Searched:
    """Keys by slot, as `TopKeys` moves them, each step by a search through all."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.keys: list[float] = []

    def offer(self, offered: list[float], slots: Any, taken: Any) -> None:
        """Apply a plan, and hold it against the definition: the largest of both are kept."""
        expected = sorted([*self.keys, *offered])[-self.capacity :]
        for slot, row in sorted(zip(slots.tolist(), taken.tolist(), strict=True)):
            if slot == len(self.keys):
                self.keys.append(offered[row])
            else:
                self.keys[slot] = offered[row]

        assert sorted(self.keys) == expected

    def let_go(self, bound: float, origin: Any, to: Any, size: int) -> None:
        expected = sorted(key for key in self.keys if key >= bound)
        for old, new in zip(origin.tolist(), to.tolist(), strict=True):
            self.keys[new] = self.keys[old]

        self.keys = self.keys[:size]
        assert sorted(self.keys) == expected


STEPS = st.lists(
    st.tuples(st.integers(0, 30), st.none() | st.floats(0, 0.6), st.integers(0, 2**32)),
    min_size=1,
    max_size=40,
)


@given(st.integers(1, 60), STEPS)
@settings(max_examples=150)
def test_the_largest_are_kept_in_any_order_of_offers_and_bounds(
    capacity: int, steps: list[tuple[int, float | None, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_keys, "POOL", 5)  # so that it runs dry, and what comes late too
        top = TopKeys(capacity)
        searched = Searched(capacity)
        for count, bound, seed in steps:
            offered = np.random.default_rng(seed).random(count)
            slots, taken = top.offer(offered)
            assert len(set(slots.tolist())) == len(slots)
            searched.offer(offered.tolist(), slots, taken)
            if len(searched.keys) == capacity:
                assert top.least() == min(searched.keys)
            if bound is not None:
                searched.let_go(bound, *top.let_go(bound))

            assert top.key[: top.size].tolist() == searched.keys


def test_all_keys_are_looked_through_once_in_many_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    fill = TopKeys._fill_pool
    monkeypatch.setattr(
        TopKeys, "_fill_pool", lambda self, least: (looks.append(self.size), fill(self, least))[1]
    )
    capacity = 64_000
    ranks = 8
    policy = Reservoir(capacity)
    policy.begin(0, list(range(ranks)))
    given_out = 0

    def step(batch: int) -> None:
        nonlocal given_out
        policy.assign(range(given_out, given_out + batch * ranks, ranks), {}, policy.top.size)
        given_out += batch * ranks
        policy.sync_counts([given_out + rank for rank in range(ranks)])

    for _ in range(20):
        step(800)
    looks.clear()
    for _ in range(100):
        step(16)

    # Some 12,800 keys were offered to 64,000: a fifth of them came in, the pools hold 1,000 and 256
    assert len(looks) < 30, "a step costs what it offers, not what is kept"
    kept = np.sort(uniform(KEYS, 0, range(given_out)))[-capacity:]
    mine = np.sort(uniform(KEYS, 0, range(0, given_out, ranks)))
    assert np.array_equal(np.sort(policy.top.key[: policy.top.size]), mine[mine >= kept[0]])


def test_a_shard_makes_room_for_its_share() -> None:
    memory = Memory(Reservoir(1_000_000), None)
    memory.bind(seed=0, rank=3, ranks=64)
    memory.add_columns(rows(torch.arange(32)))
    assert memory.store.rows < 2000, "not for all there may be in 64 shards"
    alone = Memory(Reservoir(5000), None)
    alone.bind(seed=0)
    alone.add_columns(rows(torch.arange(32)))
    assert alone.store.rows == 5000
