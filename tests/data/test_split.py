"""No example changes sides: what is held out follows from the example itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from renate.data.base import Data, Known
from renate.data.split import SIDES, TEST, TEST_KEY, TRAIN, VAL, Split, hashes_of, number
from renate.errors import ConfigError, DataError
from tests.data.scenes import files, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def known(data: Data) -> Known:
    assert data.split is not None
    return Known(data.labels, data.inputs, Split.from_json(json.loads(json.dumps(data.split.to_json()))))


def rows(columns: Any) -> set[tuple[float, ...]]:
    return set() if columns is None else {tuple(row) for row in columns["inputs"].tolist()}


def weekly(pattern: Any, state: Known | None, *, seed: int = 0, **changes: Any) -> Data:
    source = files(pattern, **{"test": None, "test_size": 0.2, "val_size": 0.1} | changes)
    return source.load(state.labels if state else None, seed=seed, known=state)


def test_places_are_uniform_and_keys_independent() -> None:
    hashes = hashes_of(torch.from_numpy(np.random.default_rng(0).normal(size=(20_000, 3))))
    one, other = number(hashes, TEST_KEY), number(hashes, 12345)
    counts = np.histogram(one, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 45, "chi-square of 19 degrees, p = 0.0007"
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


def test_hashes_follow_the_content() -> None:
    inputs = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]])
    zero, minus, other = hashes_of(inputs).tolist()
    assert zero == minus != other
    assert hashes_of(inputs).tolist() == hashes_of(inputs[:, [1, 0]], [1, 0]).tolist(), "by name, not by position"
    pixels = torch.zeros(256, 1, 5, 7, dtype=torch.uint8)
    pixels[:, 0, 4, 6] = torch.arange(256)
    assert len(set(hashes_of(pixels).tolist())) == 256
    assert len({hashes_of(torch.zeros(1, width)).tolist()[0] for width in range(1, 20)}) == 19


def test_ten_weeks_of_growing_files_move_nothing() -> None:
    """Rows repeated, files reordered, split and merged, columns reordered, labels that contradict each other."""
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(600, 3)).round(1)
    trained: set[Any] = set()
    held: set[Any] = set()
    state = None
    for week in range(10):
        chosen = pool[rng.integers(0, 60 * (week + 1), 60)]
        names = list(rng.permutation(["a", "b", "c"]))
        table = pa.table({name: chosen[:, "abc".index(name)] for name in names} | {"label": rng.integers(0, 2, 60)})
        pq.write_table(table, f"{rng.integers(100, 999)}-{week}.parquet")
        if week == 5:  # what there is so far, as one file in another order
            paths = sorted(Path().glob("*.parquet"))
            merged = pa.concat_tables([pq.read_table(path).select(["a", "b", "c", "label"]) for path in paths])
            for path in paths:
                path.unlink()
            pq.write_table(merged.take(rng.permutation(merged.num_rows)), "merged.parquet")
        data = weekly("*.parquet", state, seed=week)
        trained |= rows(data.train)
        held |= rows(data.val) | rows(data.test["test"])
        assert not trained & held, week
        state = known(data)
    assert len(held) > 50


def test_no_class_is_held_out_whole_and_its_example_stays_where_it_is() -> None:
    """The one example of fraud is in training, whatever its place; later it has company, and stays."""
    moved = 0
    for number_ in range(12):
        x = [float(i) for i in range(30)] + [100.0 + number_]
        write("1.parquet", {"x": x, "label": ["fine"] * 30 + ["fraud"]})
        one = weekly("1.parquet", None, test_size=0.6)
        assert one.labels == ["fine", "fraud"]
        assert (100.0 + number_,) in rows(one.train)
        write("2.parquet", {"x": [*x, *range(200, 220)], "label": ["fine"] * 30 + ["fraud"] * 21})
        two = weekly("2.parquet", known(one), test_size=0.6)
        assert (100.0 + number_,) in rows(two.train)
        assert one.split is not None
        moved += bool(one.split.exceptions)
    assert moved, "the case needs examples whose place is among those held out"


def test_a_few_rows_are_held_out_too() -> None:
    write("1.parquet", {"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "label": [0, 1, 0, 1, 0, 1]})
    data = weekly("1.parquet", None, test_size=0.01, val_size=0.01)
    assert data.val is not None
    assert (len(rows(data.test["test"])), len(rows(data.val)), len(rows(data.train))) == (1, 1, 4)
    again = weekly("1.parquet", known(data), test_size=0.01, val_size=0.01)
    assert rows(again.test["test"]) == rows(data.test["test"])


def test_equal_rows_stay_together_whatever_their_labels() -> None:
    write("1.parquet", {"x": [float(i // 4) for i in range(200)], "label": [i % 2 for i in range(200)]})
    data = weekly("1.parquet", None)
    assert not rows(data.train) & rows(data.test["test"])
    assert not rows(data.train) & rows(data.val)


@pytest.mark.parametrize("size", [0.1, 7])
def test_the_validation_data_stay_out_whatever_the_seed(size: float) -> None:
    write("1.parquet", {"x": [float(i) for i in range(100)], "label": [0, 1] * 50})
    one = weekly("1.parquet", None, val_size=size, seed=1)
    if size == 7:
        assert len(rows(one.val)) == 7
    write("2.parquet", {"x": [float(i) for i in range(150)], "label": [0, 1] * 75})
    two = weekly("2.parquet", known(one), val_size=size, seed=2)
    assert rows(one.val) <= rows(two.val)
    other = weekly("1.parquet", None, val_size=size, seed=2)
    assert rows(other.val) != rows(one.val), "a new state with another seed is divided anew"


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        ({}, {"test_size": 0.3}, "data.test_size=0.3: this state holds out 0.2"),
        ({}, {"val_size": 0.2}, "data.val_size=0.2: this state's examples are divided by 0.1"),
        ({}, {"val_size": 0}, "data.val_size=0: this state's examples are divided by 0.1"),
        ({"test": "1.parquet"}, {}, "data.test=null: earlier updates of this state had test data of their own"),
    ],
)
def test_what_would_move_examples_is_refused(then: dict[str, Any], now: dict[str, Any], text: str) -> None:
    write("1.parquet", {"x": [float(i) for i in range(100)], "label": [0, 1] * 50})
    state = known(weekly("1.parquet", None, **then))
    with pytest.raises(ConfigError) as caught:
        weekly("1.parquet", state, **now)
    assert text in str(caught.value)


def test_a_test_set_of_its_own_releases_nothing() -> None:
    write("1.parquet", {"x": [float(i) for i in range(100)], "label": [0, 1] * 50})
    one = weekly("1.parquet", None)
    two = weekly("1.parquet", known(one), test="1.parquet")
    assert rows(two.train) == rows(one.train), "what was held out stays out"
    assert two.notes == [
        f"data.test: {len(rows(one.train))} of 100 examples are in data.train as well: they are no test"
    ]


def test_data_of_which_nothing_is_held_out() -> None:
    write("1.parquet", {"x": [float(i) for i in range(100)], "label": [0, 1] * 50})
    state = known(weekly("1.parquet", None))
    assert state.split is not None
    lone = next(x for x in range(1000, 1100) if state.split.sides(hashes_of(torch.tensor([[float(x)]])))[0] == TRAIN)
    write("2.parquet", {"x": [float(lone)] * 2, "label": [0, 1]})
    with pytest.raises(DataError, match="none of these 2 examples belongs to those that are held out: give data.test"):
        weekly("2.parquet", state)


def test_sides_and_exceptions() -> None:
    hashes = np.arange(3, dtype=np.uint64)
    exceptions = {f"{i:016x}": side for i, side in enumerate(SIDES)}
    assert Split(0.2, 0.1, 0.1, 1, exceptions).sides(hashes).tolist() == [TRAIN, TEST, VAL]


PLAIN = Split(0.2, 0.1, 0.1, 5).to_json()
ODD = [
    None,
    {},
    PLAIN | {"more": 1},
    PLAIN | {"test": 1.0},
    PLAIN | {"test": "0.2"},
    PLAIN | {"val": True},
    PLAIN | {"val": float("nan")},
    PLAIN | {"asked": -1},
    PLAIN | {"key": 2**64},
    PLAIN | {"key": 0.5},
    PLAIN | {"exceptions": []},
    PLAIN | {"exceptions": {"xx": "train"}},
    PLAIN | {"exceptions": {"0" * 16: "nowhere"}},
]


@pytest.mark.parametrize("found", ODD, ids=range(len(ODD)))
def test_a_strangers_split_is_refused(found: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Split.from_json(found)
