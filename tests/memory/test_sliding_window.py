"""The sliding window: the newest, exactly, whatever came in between."""

import numpy as np
import pytest

from renate.memory.sliding_window import SlidingWindow


@pytest.mark.parametrize("first", [0, 10**6, 2**40])
def test_keys_grow_with_ids_and_stay_apart(first: int) -> None:
    keys = SlidingWindow(10).keys_of(0, range(first, first + 3000, 3))
    assert len(keys) == 1000
    assert (np.diff(keys) > 0).all()
    assert keys[0] > 0
    assert keys[-1] < 1


@pytest.mark.parametrize("capacity", [1, 10, 700, 3000])
def test_each_batch_takes_the_place_of_the_oldest(capacity: int) -> None:
    rng = np.random.default_rng(capacity)
    window = SlidingWindow(capacity)
    window.begin(0, [0])
    held = np.full(capacity, -1)
    count = 0
    for _ in range(60):
        ids = range(count, count + int(rng.integers(1, 200)))
        slots, rows = window.assign(ids, {}, min(count, capacity))
        held[slots] = count + rows
        count = ids.stop
        newest = np.arange(max(0, count - capacity), count)
        assert np.array_equal(np.sort(held[held >= 0]), newest)
