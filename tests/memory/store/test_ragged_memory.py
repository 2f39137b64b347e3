"""Examples of different lengths in memories: as a model, rows that follow from their ids."""

import io
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renate.data.batch import BatchTransform, Columns
from renate.data.ragged import Ragged, joined, lengths_of, offsets_of
from renate.errors import CorruptError, DataError
from renate.memory.store.memory import Memory
from renate.memory.store.segments import name_of
from renate.memory.store.shards import merge, sync_counts
from renate.ranks import Ranks
from tests.memory.examples import Files, bound, infinite, loaded, reservoir, saved
from tests.memory.threads import together

PADDING = -1


def row(number: int) -> list[int]:
    """Of 0 to 6 numbers."""
    return [number * 10 + place for place in range(number * 5 % 7)]


def ragged_rows(ids: list[int]) -> Columns:
    return {
        "inputs.ids": Ragged.of([row(number) for number in ids], padding=PADDING),
        "inputs.age": torch.tensor(ids).float(),
        "targets": torch.tensor(ids),
    }


def check_rows(memory: Memory) -> None:
    """Every example is whole, whatever was written over what."""
    kept = memory.columns()
    ids = kept["targets"].tolist()
    assert kept["inputs.ids"].list() == [row(number) for number in ids]
    assert kept["inputs.age"].tolist() == [float(number) for number in ids]


def filled(memory: Memory, sizes: list[int], first: int = 0) -> int:
    for size in sizes:
        memory.add_columns(ragged_rows(list(range(first, first + size))))
        first += size
    return first


sizes_of_batches = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    sizes=sizes_of_batches,
    more=sizes_of_batches,
    capacity=st.integers(1, 30),
    bounded=st.booleans(),
)
def test_rows_stay_whole(sizes: list[int], more: list[int], capacity: int, bounded: bool) -> None:
    def make() -> Memory:
        return reservoir(capacity) if bounded else infinite()

    memory = bound(make())
    count = filled(memory, sizes)
    check_rows(memory)
    files: Files = saved(memory)

    again = loaded(make(), files)
    stream = io.BytesIO()
    torch.save(memory.snapshot(), stream)
    stream.seek(0)
    reverted = bound(make())
    reverted.revert(torch.load(stream, weights_only=True))

    for each in (memory, again, reverted):
        filled(each, more, count)
        check_rows(each)
    files = saved(memory, files)
    once_more = loaded(make(), files)
    for each in (again, reverted, once_more):
        assert each.columns()["targets"].tolist() == memory.columns()["targets"].tolist()
        ours = each.sample(9).inputs
        assert isinstance(ours, dict)
    drawn = [each.sample(9).inputs for each in (again, reverted, once_more)]
    for name in ("ids", "ids_lengths", "age"):
        first: Any = drawn[0]
        assert all(torch.equal(other[name], first[name]) for other in drawn)  # type: ignore[index]


def test_the_buffer_stays_in_proportion() -> None:
    memory = bound(reservoir(50))
    filled(memory, [10] * 2000)
    check_rows(memory)
    live = int(memory.columns()["inputs.ids"].lengths.sum())
    assert len(memory.store.ragged["inputs.ids"].values) <= max(1024, 4 * (live + 60))


def test_it_may_lie_in_mapped_files(tmp_path: Any) -> None:
    memory = reservoir(30)
    memory.max_ram = 1
    bound(memory, scratch=str(tmp_path))
    filled(memory, [25] * 40)
    check_rows(memory)


def test_a_batch_is_padded_with_lengths_beside_it() -> None:
    memory = bound(infinite())
    filled(memory, [8])
    batch = BatchTransform()(memory.columns())
    assert isinstance(batch.inputs, dict)
    ids, lengths = batch.inputs["ids"], batch.inputs["ids_lengths"]
    assert ids.shape == (8, int(lengths.max()))
    for number in range(8):
        assert ids[number].tolist() == row(number) + [PADDING] * (ids.shape[1] - len(row(number)))
        assert lengths[number] == len(row(number))


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs.ids": Ragged.of([[1.5]], dtype=torch.float32, padding=PADDING)},
        {"inputs.ids": Ragged.of([[1]], padding=0)},
        {"inputs.ids": torch.zeros(1, 3, dtype=torch.int64)},
        {"inputs.age": Ragged.of([[1]])},
    ],
)
def test_other_kinds_are_refused(changed: Columns) -> None:
    memory = bound(infinite())
    filled(memory, [5])
    with pytest.raises(DataError, match=f"memory: column '{next(iter(changed))}' holds"):
        memory.add_columns(ragged_rows([5]) | changed)


@pytest.mark.parametrize("offsets", [[1, 2, 3], [0, 3, 2], [0, 1, 2], []])
def test_offsets_of_a_stranger(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets that don't cut 3 values"):
        lengths_of(torch.tensor(offsets, dtype=torch.int64), 3)


def test_a_segment_with_wrong_offsets_is_corrupt() -> None:
    from safetensors.torch import load, save

    memory = bound(infinite())
    filled(memory, [5])
    files = saved(memory)
    tensors = load(files[name_of(0)])
    tensors["inputs.ids.offsets"] = tensors["inputs.ids.offsets"].flip(0).contiguous()
    files[name_of(0)] = save(tensors)
    with pytest.raises(CorruptError, match="column 'inputs.ids': offsets that don't cut"):
        loaded(infinite(), files)


def test_joined_and_offsets() -> None:
    both = joined([Ragged.of([[1], [2, 3]]), Ragged.of([[], [4]])[1:]])
    assert both.list() == [[1], [2, 3], [4]]
    assert offsets_of(both.lengths).tolist() == [0, 1, 3, 4]
    assert Ragged.of([]).padded().shape == (0, 1)
    assert Ragged.of([[], []], padding=7).padded().tolist() == [[7], [7]]
    with pytest.raises(ValueError, match="only the lengths may differ"):
        Ragged.of([[[1, 2]], [[1]]])


def test_shards_come_together() -> None:
    def one(ranks: Ranks) -> Memory:
        memory = reservoir(20)
        memory.bind(seed=3, transform=BatchTransform(), rank=ranks.rank, ranks=ranks.size)
        for begin in range(0, 60, 6):
            memory.add_columns(ragged_rows(list(range(begin + ranks.rank, begin + 6, ranks.size))))
            if ranks.size > 1:
                sync_counts(memory, ranks.gather(memory.count))
        merge(memory, ranks)
        return memory

    alone = together(1, one)[0]
    both = together(2, one)[0]
    check_rows(both)
    assert sorted(both.columns()["targets"].tolist()) == sorted(alone.columns()["targets"].tolist())
    check_rows(loaded(reservoir(20), saved(both)))
