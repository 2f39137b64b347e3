"""A memory in shards: together they are exactly the memory of one process."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from renate.data.batch import BatchTransform, Columns
from renate.errors import ConfigError
from renate.memory.base import Plan, Policy
from renate.memory.store.memory import Memory
from renate.memory.store.shards import align_ids, merge, sync_counts
from renate.memory.top_keys import TopKeys
from renate.ranks import Ranks
from tests.memory.examples import Files, in_ram, infinite, reservoir, rows
from tests.memory.threads import together


def update(
    make: Callable[[], Memory], files: Files, ids: torch.Tensor, size: int, *, batch: int = 5
) -> tuple[Files, list[int], list[str]]:
    """Offer ids in two epochs on `size` processes; returns files, shards' sizes, files written."""

    def one(ranks: Ranks) -> tuple[int, Memory]:
        memory = make()
        memory.bind(seed=3, transform=BatchTransform(), rank=ranks.rank, ranks=ranks.size)
        if files:
            memory.load(files.__getitem__)
        for _ in range(2):
            mine = ids[ranks.rank :: size]
            steps = (len(ids) // size + batch - 1) // batch
            for step in range(steps):
                part = (
                    mine[step * batch : (step + 1) * batch]
                    if step < steps - 1
                    else mine[step * batch :]
                )
                memory.add_columns(rows(part))
                if size > 1:
                    sync_counts(memory, ranks.gather(memory.count))
            align_ids(memory, ranks)
        held = memory.size
        merge(memory, ranks)
        return held, memory

    done = together(size, one)
    memory = done[0][1]
    found = dict(memory.save())
    whole = {name: data if data is not None else files[name] for name, data in found.items()}
    return (
        whole,
        [held for held, _ in done],
        [name for name, data in found.items() if data is not None],
    )


def contents(make: Callable[[], Memory], files: Files) -> list[tuple[int, float]]:
    """(id, key) of what a saved memory holds; checks that rows are whole."""
    memory = make()
    memory.bind(seed=0)
    memory.load(files.__getitem__)
    found = memory.columns()
    expected = rows(found["targets"])
    assert all(torch.equal(found[name], expected[name]) for name in expected), "rows stayed whole"
    keys = memory.policy.values().get("key", np.zeros(memory.size))
    return sorted(zip(found["targets"].tolist(), keys.tolist(), strict=True))


@pytest.mark.parametrize("sizes", [(2, 2, 2), (2, 1, 2), (1, 3, 2), (4, 2, 1)])
@pytest.mark.parametrize("capacity", [7, 40, 1000])
def test_any_number_of_processes_leaves_the_same_memory(
    sizes: tuple[int, ...], capacity: int
) -> None:
    def make() -> Memory:
        return reservoir(capacity)

    one: Files = {}
    many: Files = {}
    for number, size in enumerate(sizes):
        ids = torch.arange(number * 61, number * 61 + 61 + number)
        one, _, _ = update(make, one, ids, 1)
        many, shards, _ = update(make, many, ids, size)
        assert contents(make, one) == contents(make, many)
        assert sum(shards) == len(contents(make, one)), "the shards hold no more than the whole"
        meta = [files["memory/meta.json"] for files in (one, many)]
        assert [m.partition(b'"count"')[2][:12] for m in meta] == [
            meta[0].partition(b'"count"')[2][:12]
        ] * 2


def test_what_is_untouched_is_not_written_again() -> None:
    def make() -> Memory:
        return reservoir(10000)

    first, _, _ = update(make, {}, torch.arange(5000), 2, batch=500)
    _, _, written = update(make, first, torch.arange(5000, 5040), 2)
    assert sorted(written) == [
        "memory/index.safetensors",
        "memory/meta.json",
        "memory/segment-000003.safetensors",
    ]


def test_everything_is_kept_where_there_is_no_bound() -> None:
    def make() -> Memory:
        return infinite()

    files, _, _ = update(make, {}, torch.arange(30), 2)
    files, shards, _ = update(make, files, torch.arange(30, 51), 3)
    assert [i for i, _ in contents(make, files)] == sorted([*range(51)] * 2)
    assert sum(shards) == 2 * 51


@pytest.mark.slow
def test_uniform_over_the_processes_data_however_uneven_their_shares() -> None:
    counts = np.zeros(45)
    seeds = 400
    capacity = 10
    for seed in range(seeds):

        def one(ranks: Ranks, seed: int = seed) -> Memory:
            memory = reservoir(capacity)
            memory.bind(seed=seed, rank=ranks.rank, ranks=ranks.size)
            first, last = (0, 9) if ranks.first else (9, 45)
            for begin in range(0, 36, 12):
                part = torch.arange(first, last)[begin : begin + 12]
                if len(part):
                    memory.add_columns(rows(part))
                sync_counts(memory, ranks.gather(memory.count))
            merge(memory, ranks)
            return memory

        held = together(2, one)[0].columns()["targets"]
        assert len(held.unique()) == capacity, "full"
        counts[held.numpy()] += 1
    expected = seeds * capacity / 45
    statistic = ((counts - expected) ** 2).sum() / (expected * (1 - capacity / 45)) * 44 / 45
    assert chi2.sf(statistic, 44) > 0.01
    late = counts[9:].sum()  # of the second process, which has four fifths of the data
    assert abs(late - seeds * capacity * 0.8) < 4 * (seeds * capacity * 0.16) ** 0.5


def test_draws_of_two_processes_differ() -> None:
    def one(ranks: Ranks) -> list[int]:
        memory = infinite()
        memory.bind(seed=1, transform=BatchTransform(), rank=ranks.rank, ranks=ranks.size)
        memory.add_columns(rows(torch.arange(1000)))
        drawn: list[int] = memory.sample(50).fields["slots"].tolist()
        return drawn

    a, b = together(2, one)
    assert a != b


def test_letting_go_leaves_the_largest_keys_and_a_sound_pool() -> None:
    rng = np.random.default_rng(0)
    top = TopKeys(3000)
    held = np.empty(3000)
    for _ in range(60):
        slots, taken = top.offer(keys := rng.random(200))
        held[slots] = keys[taken]
        bound = np.quantile(held[: top.size], rng.choice([0, 0.01, 0.2]))
        expected = np.sort(held[: top.size][held[: top.size] >= bound])
        origin, to, size = top.let_go(bound)
        held[to] = held[origin]
        assert np.array_equal(np.sort(held[:size]), expected)
        assert np.array_equal(top.key[:size], held[:size])
        assert np.array_equal(top.pool, held[top.slots])


def test_a_policy_that_knows_no_shards_is_refused() -> None:
    class Own(Policy):
        def assign(self, ids: range, columns: Columns, size: int) -> Plan:
            return np.arange(size, size + len(ids)), np.arange(len(ids))

    with pytest.raises(
        ConfigError, match="memory: Own can't be sharded over 2 processes: give trainer.devices=1"
    ):
        in_ram(Own(None)).bind(seed=0, ranks=2)
