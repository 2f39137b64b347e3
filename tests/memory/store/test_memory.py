"""What every memory does: keep, draw, save, load; as a model against a plain list."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from renate.data.batch import Columns
from renate.errors import ConfigError, DataError, StateError
from renate.memory.random import KEYS, uniform
from renate.memory.reservoir import Reservoir
from renate.memory.store.memory import Memory
from tests.memory.examples import (
    Files,
    batch,
    bound,
    ids,
    infinite,
    loaded,
    none,
    reservoir,
    rows,
    same,
    saved,
)


def plain(first: int, count: int) -> Columns:
    columns = rows(torch.arange(first, first + count))
    del columns["logits"]
    return columns


class MemoryMachine(RuleBasedStateMachine):
    """Any sequence of adds, draws, saves and loads keeps exactly what the law says, rows whole."""

    @initialize(
        capacity=st.integers(1, 40),
        kind=st.sampled_from(["reservoir", "infinite"]),
        seed=st.integers(0, 2**40),
    )
    def start(self, capacity: int, kind: str, seed: int) -> None:
        self.make = infinite if kind == "infinite" else lambda: reservoir(capacity)
        self.capacity = capacity if kind == "reservoir" else 10**9
        self.memory = bound(self.make(), seed)
        self.seed = seed
        self.count = 0
        self.twin = bound(self.make(), seed)
        self.files: Files = {}

    @rule(count=st.integers(1, 60))
    def add(self, count: int) -> None:
        extra = {"logits": torch.arange(self.count, self.count + count)[:, None].float()}
        for memory in (self.memory, self.twin):
            memory.add(batch(self.count, count), **extra)
        self.count += count

    @rule(n=st.integers(1, 20))
    def draw(self, n: int) -> None:
        if self.count:
            mine = self.memory.sample(n)
            other = self.twin.sample(n)
            assert torch.equal(mine.raw["targets"], other.raw["targets"])
            assert torch.equal(mine.logits[:, 0].long(), mine.targets)
            assert set(mine.targets.tolist()) <= set(ids(self.memory))

    @rule()
    def save_and_load(self) -> None:
        self.files = saved(self.memory, self.files)
        self.memory = loaded(self.make(), self.files)
        again = dict(self.memory.save())
        assert all(data is None for name, data in again.items() if "segment" in name), (
            "nothing changed"
        )

    @invariant()
    def keeps_the_largest_keys(self) -> None:
        if self.count:
            keys = uniform(KEYS, self.seed, range(self.count))
            best = (
                np.argsort(keys)[-self.capacity :]
                if self.count > self.capacity
                else np.arange(self.count)
            )
            assert sorted(ids(self.memory)) == sorted(best.tolist())
            columns = self.memory.columns()
            assert torch.equal(columns["inputs"][:, 0], (columns["targets"] % 251).to(torch.uint8))
            assert same(self.memory, self.twin)


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_new_capacity() -> None:
    memory = bound(reservoir(50), 3)
    memory.add(batch(0, 400))
    files = saved(memory)
    smaller = loaded(reservoir(20), files)
    keys = uniform(KEYS, 3, range(400))
    assert sorted(ids(smaller)) == sorted(np.argsort(keys)[-20:].tolist())
    smaller.add(batch(400, 100))
    assert sorted(ids(smaller)) == sorted(np.argsort(uniform(KEYS, 3, range(500)))[-20:].tolist())
    with pytest.raises(
        StateError, match="memory.capacity=60: the state's memory has been full at 50"
    ):
        loaded(reservoir(60), files)
    sparse = bound(reservoir(50), 3)
    sparse.add(batch(0, 30))
    larger = loaded(reservoir(60), saved(sparse))
    larger.add(batch(30, 400))
    assert sorted(ids(larger)) == sorted(np.argsort(uniform(KEYS, 3, range(430)))[-60:].tolist())


def test_mapped_columns_are_the_same(tmp_path: Any) -> None:
    ram = bound(reservoir(100))
    mapped = bound(Memory(Reservoir(100), 0), scratch=str(tmp_path))
    for memory in (ram, mapped):
        for first in range(0, 900, 90):
            memory.add(batch(first, 90))
    assert same(ram, mapped)
    assert torch.equal(ram.sample(50).inputs, mapped.sample(50).inputs)
    assert list(tmp_path.iterdir()) == [], "a mapped file has no name, so nothing is left behind"


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.bool, torch.int8, torch.float64]
)
def test_dtypes_survive(dtype: torch.dtype) -> None:
    memory = bound(reservoir(10))
    values = torch.arange(10).view(10, 1).to(dtype)
    memory.add(batch(0, 10), extra=values)
    again = loaded(reservoir(10), saved(memory))
    # values of the fit's own precision, which may change between updates, are kept in one
    assert again.columns()["extra"].dtype == (torch.float32 if dtype.is_floating_point else dtype)
    assert same(memory, again)


def test_columns_that_do_not_fit() -> None:
    memory = bound(reservoir(10))
    memory.add(batch(0, 5), logits=torch.zeros(5, 3))
    with pytest.raises(
        DataError,
        match=r"column 'logits' holds torch.float32 \[3\], the new examples have .* \[4\]",
    ):
        memory.add(batch(5, 5), logits=torch.zeros(5, 4))
    with pytest.raises(DataError, match="only the memory has a column 'logits'"):
        memory.add(batch(5, 5))
    with pytest.raises(DataError, match="column 'logits' has 6 rows, the targets have 5"):
        memory.add(batch(5, 5), logits=torch.zeros(6, 3))
    with pytest.raises(DataError, match="only the new examples have a column 'other'"):
        memory.add(batch(5, 5), logits=torch.zeros(5, 3), other=torch.zeros(5))
    assert len(memory) == 5


def test_policies_do_not_mix() -> None:
    memory = bound(infinite())
    memory.add(batch(0, 5))
    files = saved(memory)
    with pytest.raises(
        StateError,
        match="the state's memory is a Infinite of 5 examples, the config asks for a Reservoir",
    ):
        loaded(reservoir(10), files)
    assert len(loaded(none(), files)) == 0


def test_bounds_and_empty() -> None:
    for capacity in (0, -3, 10.5):
        with pytest.raises(
            ConfigError, match=f"memory.capacity={capacity}: expected a whole number of 1 or more"
        ):
            reservoir(capacity)  # type: ignore[arg-type]
    with pytest.raises(StateError, match="the memory is empty"):
        bound(reservoir(5)).sample(1)
    nothing = bound(none())
    nothing.add(batch(0, 5))
    assert len(nothing) == 0
    assert dict(nothing.save()) == {}


def test_what_an_updater_needs_is_asked_for_filled_or_widened() -> None:
    memory = bound(reservoir(10))
    memory.require(("logits",))  # empty: nothing is missing yet
    memory.add(batch(0, 6))
    with pytest.raises(
        StateError, match="the memory's examples have no 'logits'.*memory.backfill=true"
    ):
        memory.require(("logits",))
    memory.fill("logits", torch.ones(6, 2))
    memory.require(("logits",))
    memory.widen("logits", 3, float("nan"))
    logits = loaded(reservoir(10), saved(memory)).columns()["logits"]
    assert logits.shape == (6, 3)
    assert logits[:, :2].eq(1).all()
    assert logits[:, 2].isnan().all()


def test_a_save_that_broke_off_loses_nothing() -> None:
    memory = bound(infinite())
    memory.add(batch(0, 9000))
    next(memory.save())
    again = loaded(infinite(), saved(memory))
    assert same(memory, again)


def test_many_small_segments_are_merged_not_the_large_one() -> None:
    memory = bound(infinite())
    memory.add_columns(plain(0, 100_000))
    files = saved(memory)
    largest = 0
    for version in range(150):
        memory.add_columns(plain(100_000 + 10 * version, 10))
        fresh = {name: data for name, data in memory.save() if data is not None}
        files |= fresh
        largest = max(largest, sum(len(data) for name, data in fresh.items() if "segment" in name))
        assert len(memory.segments.rows) <= 129
    assert largest < 100_000 * 11 / 20
    assert same(memory, loaded(infinite(), files))


def test_the_log_stays_within_its_bounds() -> None:
    """A hundred versions with 1 % changed each: bytes written and referenced stay in proportion."""
    size = 20_000
    memory = bound(infinite())
    memory.add_columns(plain(0, size))
    files = saved(memory)
    written = []
    for version in range(100):
        slots = np.random.default_rng(version).choice(size, size // 100, replace=False)
        memory.store.put(
            torch.from_numpy(slots),
            torch.arange(len(slots)),
            plain(10**6 + version * 1000, len(slots)),
        )
        memory.segments.touch(slots, size)
        fresh = {
            name: data for name, data in memory.save() if data is not None and "segment" in name
        }
        written.append(sum(map(len, fresh.values())))
        names = {f"memory/segment-{number:06d}.safetensors" for number in memory.segments.rows}
        files = {k: v for k, v in files.items() if k in names} | fresh
        assert sum(memory.segments.rows.values()) <= 1.5 * size + size // 100
        assert len(memory.segments.rows) <= 130
    everything = size * 11
    assert np.mean(written) < 0.06 * everything
    index = {name: data for name, data in memory.save() if data is not None}
    assert same(memory, loaded(infinite(), files | index))
