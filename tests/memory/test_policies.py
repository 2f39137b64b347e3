"""The suite that every policy of conf/memory passes, against a law written down plainly."""

import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from renate.build import build
from renate.data.batch import BatchTransform, Columns
from renate.errors import ConfigError, DataError, StateError
from renate.launchers.composing.conf import CONF
from renate.memory.random import CLASSES, KEYS, uniform
from renate.memory.store.memory import Memory
from renate.memory.store.shards import align_ids, merge, sync_counts
from renate.ranks import Ranks
from tests.memory.examples import Files, saved
from tests.memory.threads import together

# One that decides by what an updater offers has a test of its own
OPTIONS = sorted({p.stem for p in (CONF / "memory").glob("*.yaml")} - {"gradient_diverse"})
EVERY = pytest.mark.parametrize("option", OPTIONS)
CAPACITY = 40
SEED = 11
LABELS = np.random.default_rng(0).choice(7, 900, p=[0.6, 0.2, 0.1, 0.05, 0.03, 0.015, 0.005])


def memory_of(option: str, capacity: int = CAPACITY) -> Memory:
    node = yaml.safe_load((CONF / "memory" / f"{option}.yaml").read_text())
    node.pop("backfill", None)  # the job's, as the next
    max_ram = node.pop("max_ram", None)
    if "capacity" in node:
        node["capacity"] = capacity
    return Memory(build(node, "memory"), max_ram)


def started(option: str, capacity: int = CAPACITY) -> Memory:
    memory = memory_of(option, capacity)
    memory.bind(seed=SEED, transform=BatchTransform())
    return memory


def rows(ids: Tensor) -> Columns:
    targets = torch.from_numpy(LABELS)[ids]
    return {"inputs": ids[:, None].clone(), "targets": targets, "logits": ids[:, None].float() / 7}


def offer(memory: Memory, begin: int, end: int, batch: int = 32) -> None:
    for ids in torch.arange(begin, end).split(batch):
        memory.add_columns(rows(ids))


def held(memory: Memory) -> list[int]:
    """The ids of what is kept, by slot; checks that rows are whole."""
    if not len(memory):
        return []
    columns = memory.columns()
    ids = columns["inputs"][:, 0]
    expected = rows(ids)
    assert all(torch.equal(columns[name], expected[name]) for name in expected)
    found: list[int] = ids.tolist()
    return found


def evenly(keys: np.ndarray, capacity: int) -> list[int]:  # type: ignore[type-arg]
    """The best of each class, one class after the other, until there is no more room."""
    labels = LABELS[: len(keys)]
    order = np.argsort(uniform(CLASSES, SEED, range(7)))
    members = {c: [i for i in np.argsort(-keys) if labels[i] == c] for c in order}
    kept: list[int] = []
    while len(kept) < min(capacity, len(keys)):
        for label in order:
            if members[label] and len(kept) < capacity:
                kept.append(int(members[label].pop(0)))
    return kept


def law(option: str, count: int, capacity: int = CAPACITY) -> list[int]:
    """What must be kept of so many examples."""
    keys = uniform(KEYS, SEED, range(count))
    found = {
        "infinite": [*range(count)],
        "none": [],
        "reservoir": np.argsort(-keys)[:capacity].tolist(),
        "sliding_window": [*range(count)][-capacity:],
        "class_balanced": evenly(keys, capacity),
        "greedy": evenly(-np.arange(count), capacity),
    }
    return sorted(found[option])


def test_the_law_knows_every_policy() -> None:
    for option in OPTIONS:
        kept = law(option, 400)
        assert kept == sorted(set(kept))
        assert len(kept) == {"infinite": 400, "none": 0}.get(option, CAPACITY)


@EVERY
class TestEveryPolicy:
    @pytest.mark.parametrize("batch", [1, 7, 128, 900])
    def test_keeps_what_the_law_says(self, option: str, batch: int) -> None:
        memory = started(option)
        for begin, end in ((0, 25), (25, 60), (60, 900)):
            offer(memory, begin, end, batch)
            assert sorted(held(memory)) == law(option, end)

    def test_goes_on_from_files_and_checkpoints_bit_for_bit(self, option: str) -> None:
        for stop in (30, 200, 520):
            memory = started(option)
            offer(memory, 0, stop)
            files = saved(memory)
            twins = [started(option)]
            twins[0].revert(memory.snapshot())
            if files:
                again = memory_of(option)
                again.bind(seed=SEED + 1, transform=BatchTransform())
                again.load(files.__getitem__)
                twins.append(again)

            offer(memory, stop, stop + 150)
            drawn = memory.sample(9).inputs if len(memory) else None
            for twin in twins:
                offer(twin, stop, stop + 150)
                assert held(twin) == held(memory)
                assert drawn is None or torch.equal(twin.sample(9).inputs, drawn)
                assert facts(twin) == facts(memory)

    def test_shards_come_down_to_what_one_process_keeps(self, option: str) -> None:
        alone = started(option)
        offer(alone, 0, 821)
        for size in (2, 3):
            merged, sizes = sharded(option, size, 821)
            assert sorted(held(merged)) == sorted(held(alone))
            assert merged.count == alone.count
            assert sum(sizes) == len(alone), "the shards hold no more than the whole"

    def test_shards_go_on_from_checkpoints(self, option: str) -> None:
        plain, _ = sharded(option, 2, 800)
        broken, _ = sharded(option, 2, 800, revert=True)
        assert held(plain) == held(broken)
        assert facts(plain) == facts(broken)

    def test_a_state_is_dealt_to_shards(self, option: str) -> None:
        memory = started(option)
        offer(memory, 0, 300)
        files = saved(memory)
        merged, _ = sharded(option, 2, 800, files=files)
        assert sorted(held(merged)) == law(option, 800)

    def test_a_smaller_capacity_is_the_law_of_that_capacity(self, option: str) -> None:
        memory = started(option)
        offer(memory, 0, 300)
        smaller = memory_of(option, 15)
        smaller.bind(seed=0)
        smaller.load(saved(memory).__getitem__)
        offer(smaller, 300, 600)
        assert sorted(held(smaller)) == law(option, 600, 15)

    def test_targets_may_be_anything_but_for_classes(self, option: str) -> None:
        for targets in (torch.rand(60), torch.rand(60, 2).double(), torch.rand(60, 5) > 0.5):
            memory = started(option)
            columns = {"inputs": torch.arange(60)[:, None], "targets": targets}
            if option in ("class_balanced", "greedy"):
                with pytest.raises(ConfigError, match="the targets are .*, no classes: memory=res"):
                    memory.add_columns(columns)
                continue
            memory.add_columns(columns)
            kept = memory.columns()
            if len(memory):
                assert torch.equal(kept["targets"], targets[kept["inputs"][:, 0]])
                again = started(option)
                again.load(saved(memory).__getitem__)
                assert torch.equal(again.columns()["targets"], kept["targets"])

    def test_yaml_names_every_argument(self, option: str) -> None:
        node = yaml.safe_load((CONF / "memory" / f"{option}.yaml").read_text())
        parameters = inspect.signature(type(memory_of(option).policy)).parameters
        assert set(parameters) == set(node) - {"_target_", "backfill", "max_ram"}


def facts(memory: Memory) -> list[Any]:
    """What a memory is besides its examples."""
    values = {name: own.tolist() for name, own in memory.policy.values().items()}
    return [memory.size, memory.count, memory.draws, memory.seed, values]


def steps(rank: int, size: int, begin: int, end: int) -> Iterator[Tensor]:
    """One epoch of a process: its share in batches, as many as every other process has."""
    mine = torch.arange(begin, end)[rank::size]
    yield from torch.tensor_split(mine, max(1, (end - begin) // (16 * size)))


def sharded(
    option: str,
    size: int,
    count: int,
    *,
    files: Files | None = None,
    revert: bool = False,
) -> tuple[Memory, list[int]]:
    """Offer ids in two epochs to so many processes; returns the memory and the shards' sizes."""

    def fresh(ranks: Ranks) -> Memory:
        memory = memory_of(option)
        memory.bind(seed=SEED, transform=BatchTransform(), rank=ranks.rank, ranks=ranks.size)
        return memory

    def one(ranks: Ranks) -> tuple[int, Memory]:
        memory = fresh(ranks)
        if files:
            memory.load(files.__getitem__)
        first = 300 if files is not None else 0
        bounds = [first, first + (count - first) // 2, count]
        for begin, end in pairwise(bounds):
            for number, ids in enumerate(steps(ranks.rank, size, begin, end)):
                memory.add_columns(rows(ids))
                sync_counts(memory, ranks.gather(memory.count))
                if revert and number % 3 == 1:
                    snapshot = memory.snapshot()
                    memory = fresh(ranks)
                    memory.revert(snapshot)
            align_ids(memory, ranks)
        own = memory.size
        merge(memory, ranks)
        return own, memory

    done = together(size, one)
    return done[0][1], [own for own, _ in done]


def test_a_greedy_memory_is_another_one() -> None:
    memory = started("class_balanced")
    offer(memory, 0, 100)
    with pytest.raises(
        StateError,
        match="a ClassBalanced of 40 examples, the config asks for a GreedyClassBalanced",
    ):
        started("greedy").load(saved(memory).__getitem__)


def test_a_larger_capacity_goes_on_where_nothing_is_missing() -> None:
    for option in OPTIONS:
        if option in ("infinite", "none"):
            continue
        memory = started(option)
        offer(memory, 0, 300)
        larger = memory_of(option, 60)
        larger.bind(seed=0)
        if option != "sliding_window":
            with pytest.raises(StateError, match="memory.capacity=60: .* has been full at 40"):
                larger.load(saved(memory).__getitem__)
            continue
        larger.load(saved(memory).__getitem__)
        offer(larger, 300, 310)
        assert sorted(held(larger)) == [*range(260, 310)]
        offer(larger, 310, 400)
        assert sorted(held(larger)) == [*range(340, 400)]


def test_a_class_below_zero_is_refused() -> None:
    memory = started("class_balanced")
    with pytest.raises(DataError, match="memory=class_balanced: a target is -100, expected 0 or"):
        memory.add_columns(rows(torch.arange(3)) | {"targets": torch.tensor([0, -100, 1])})
