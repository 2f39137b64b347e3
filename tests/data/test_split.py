"""Which side an example is on follows from its content, and stays so in every later update."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renate.data.base import Data
from renate.data.batch import length
from renate.data.kept.hashing import hash_rows, uniform
from renate.data.kept.split import Split, first_split, with_exceptions
from renate.data.torch_dataset import TorchDataset
from renate.errors import DataError
from tests.data.scenes import SHARED, as_kept, files, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def rows(columns: Any) -> set[float]:
    return set() if columns is None else set(columns["inputs"][:, 0].tolist())


def sides(data: Data) -> tuple[set[float], set[float], set[float]]:
    return rows(data.train), rows(data.val), rows(data.test["test"])


def weekly(**changes: Any) -> dict[str, Any]:
    return {"test": None, "test_size": 0.2, "val_size": 0.1} | changes


def table(first: int, count: int, classes: int = 2) -> dict[str, Any]:
    numbers = np.arange(first, first + count)
    noise = np.random.default_rng(first).normal(size=count)
    return {"id": numbers.astype(np.float64), "x": noise, "label": numbers % classes}


def test_no_row_changes_sides_when_files_come_or_are_merged_or_reordered() -> None:
    write("new/b.parquet", table(0, 600))
    first = files("new/*.parquet", **weekly()).load(seed=1)
    write("new/a.csv", table(600, 200))
    one = table(0, 600)
    turned = {name: one[name][::-1] for name in ("x", "label", "id")}
    write(
        "merged.jsonl", {name: np.concatenate([turned[name], turned[name][:50]]) for name in turned}
    )
    second = files(["new/a.csv", "merged.jsonl"], **weekly()).load(seed=99, known=as_kept(first))

    before = sides(first)
    now = sides(second)
    for side in range(3):
        assert before[side] == {row for row in now[side] if row < 600}
        assert len(now[side]) > len(before[side]), "new rows come to each side"
    assert sum(map(len, now)) == len(set.union(*now))


def test_equal_rows_with_several_labels_are_on_one_side() -> None:
    write("a.parquet", {"x": [i // 4 for i in range(400)], "label": [i % 2 for i in range(400)]})
    train, val, test = sides(files(**weekly()).load(seed=0))
    assert train
    assert val
    assert test
    assert len(train) + len(val) + len(test) == len(train | val | test)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32))
def test_a_hash_knows_neither_the_rows_places_nor_the_columns_order(
    count: int, width: int, seed: int
) -> None:
    inputs = torch.from_numpy(
        np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    )
    names = [f"c{i}" for i in range(width)]
    whole = hash_rows(inputs, names)
    order = np.random.default_rng(seed).permutation(width)
    turned = hash_rows(inputs[:, order].flip(0), [names[i] for i in order])
    assert list(turned[::-1]) == list(whole)


def test_hashes_of_other_contents_differ_and_zeros_are_one() -> None:
    zeros = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]])
    found = hash_rows(zeros)
    assert found[0] == found[1]
    assert found[0] != found[2], "places count"
    images = torch.randint(0, 256, (500, 3, 5, 5), dtype=torch.uint8)
    assert len(set(hash_rows(images).tolist())) == 500
    assert len(set(hash_rows(torch.arange(70_000)[:, None]).tolist())) == 70_000


def test_hashes_are_the_same_in_every_release() -> None:
    """Another hash would move the examples of every state that there is."""
    inputs = torch.tensor([[0.5, -1.0, 3.0], [0.0, 2.0, 1.0]])
    assert hash_rows(inputs).tolist() == [590238196772894298, 16954849835458122898]
    assert uniform(np.array([1, 2], np.uint64), 7).tolist() == [
        0.7724516578449391,
        0.7405521310639837,
    ]


def test_numbers_are_uniform_and_keys_independent() -> None:
    hashes = hash_rows(torch.arange(20_000)[:, None])
    one = uniform(hashes, 1)
    other = uniform(hashes, 2)
    counts = np.histogram2d(one, other, bins=5, range=[[0, 1], [0, 1]])[0]
    assert counts.min() > 800 - 6 * 28
    assert counts.max() < 800 + 6 * 28


@pytest.mark.parametrize("where", range(12))
def test_no_class_is_held_out_whole_and_its_row_stays(where: int) -> None:
    labels = ["late", "ok"] * 30
    labels[where] = "fraud"
    write("a.parquet", {"x": [float(i) for i in range(60)], "label": labels})
    first = files(**weekly()).load(seed=where)
    assert where in rows(first.train)
    write("b.parquet", {"x": [float(i) for i in range(120)], "label": labels + ["fraud"] * 60})
    second = files("b.parquet", **weekly()).load(seed=0, known=as_kept(first))
    for before, now in zip(sides(first), sides(second), strict=True):
        assert before == {row for row in now if row < 60}


def test_a_tiny_file_gives_each_side_a_row_which_stays_there() -> None:
    write("a.parquet", {"x": [0.0, 1, 2, 3, 4, 5], "label": [0, 1] * 3})
    first = files(**weekly(test_size=0.001, val_size=0.001)).load(seed=0)
    assert [len(side) for side in sides(first)] == [4, 1, 1]
    write("a.parquet", {"x": [float(i) for i in range(300)], "label": [0, 1] * 150})
    second = files(**weekly(test_size=0.001, val_size=0.001)).load(seed=0, known=as_kept(first))
    for before, now in zip(sides(first), sides(second), strict=True):
        assert before == {row for row in now if row < 6}


def test_a_later_update_moves_no_row_to_fill_a_side() -> None:
    hashes = hash_rows(torch.arange(3)[:, None])
    split = Split(1e-9, 0.0, 0.0, 0)
    with pytest.raises(DataError, match="none of these 3 examples is held out.*or data.test"):
        with_exceptions(split, hashes, np.array([0, 1, 0]), set(), first=False)


def test_a_number_of_validation_examples_becomes_a_share_that_stays() -> None:
    write("a.parquet", table(0, 500))
    first = files(**weekly(val_size=50)).load(seed=0)
    assert first.val is not None
    assert length(first.val) == 50
    write("a.parquet", table(0, 1000))
    second = files(**weekly(val_size=50)).load(seed=0, known=as_kept(first))
    for before, now in zip(sides(first), sides(second), strict=True):
        assert before <= now


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"test_size": 0.3}, "data.test_size=0.3: the state holds out 0.2.*data.test_size=0.2"),
        (
            {"val_size": 0.2},
            "data.val_size=0.2: the state holds out 0.1 for validation.*data.val_size=0.1",
        ),
        ({"val_size": 0}, "data.val_size=0: the state holds out 0.1"),
    ],
)
def test_shares_that_would_move_rows_are_refused(changes: dict[str, Any], text: str) -> None:
    write("a.parquet", table(0, 200))
    first = files(**weekly()).load(seed=0)
    with pytest.raises(DataError, match=text):
        files(**weekly(**changes)).load(seed=0, known=as_kept(first))


def test_measuring_takes_the_states_shares() -> None:
    write("a.parquet", table(0, 200))
    first = files(**weekly()).load(seed=0)
    other = files(**weekly(test_size=0.5, val_size=0)).load(
        seed=0, known=as_kept(first), training=False
    )
    assert rows(other.test["test"]) == rows(first.test["test"])
    assert any("the state holds out 0.2" in line for line in other.notes)


def test_a_test_set_that_comes_later_or_goes() -> None:
    write("a.parquet", table(0, 200))
    write("b.parquet", table(500, 50))
    held = files(**weekly()).load(seed=0)
    given = files(**weekly(test="b.parquet")).load(seed=0, known=as_kept(held))
    assert rows(given.train) == rows(held.train), "what was held out stays out"
    assert any("still aren't trained on" in line for line in given.notes)
    again = files(**weekly()).load(seed=0, known=as_kept(given))
    assert sides(again) == sides(held)

    always = files(**weekly(test="b.parquet")).load(seed=0)
    with pytest.raises(
        DataError, match="data.test=null: the state was always given test data.*give data.test"
    ):
        files(**weekly()).load(seed=0, known=as_kept(always))


def test_a_test_set_among_the_training_rows_is_said() -> None:
    write("a.parquet", table(0, 200))
    write(
        "b.parquet",
        table(190, 20) | {"x": np.concatenate([table(0, 200)["x"][190:], np.zeros(10)])},
    )
    data = files(test="b.parquet").load(seed=0)
    assert "data.test: 10 of its 20 examples are also trained on" in data.notes


def test_a_limit_takes_training_rows_only() -> None:
    write("a.parquet", table(0, 400))
    whole = files(**weekly()).load(seed=0)
    some = files(**weekly(limit=30)).load(seed=0)
    assert length(some.train) == 30
    assert sides(some)[1:] == sides(whole)[1:]
    assert rows(some.train) < rows(whole.train)


def test_data_sets_are_split_by_content_too() -> None:
    items: Any = [(torch.tensor([float(i), 0.0]), i % 2) for i in range(200)]
    data = TorchDataset(train=items, **SHARED | weekly()).load(seed=0)
    turned = TorchDataset(train=items[::-1], **SHARED | weekly()).load(seed=5, known=as_kept(data))
    assert sides(data) == sides(turned)


GOOD: dict[str, Any] = {
    "test": 0.2,
    "val": 0.1,
    "asked": 0.1,
    "key": 3,
    "moved": {"0" * 15 + "a": "val"},
}


def test_a_kept_split_is_read_back() -> None:
    assert Split.from_json(GOOD).to_json() == GOOD


@pytest.mark.parametrize(
    "odd",
    [
        {"more": 1},
        {"test": 1.0},
        {"test": True},
        {"val": float("nan")},
        {"val": "0.1"},
        {"asked": -1},
        {"asked": float("inf")},
        {"key": -1},
        {"key": 2**63},
        {"key": 1.0},
        {"moved": []},
        {"moved": {"xyz": "val"}},
        {"moved": {"0" * 16: "nowhere"}},
        {"moved": {"0" * 16: ["val"]}},
    ],
    ids=str,
)
def test_an_odd_split_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="^split: "):
        Split.from_json(GOOD | odd)
    with pytest.raises(ValueError, match="^split: "):
        Split.from_json(odd)


def test_too_few_examples() -> None:
    hashes = hash_rows(torch.arange(4)[:, None])
    with pytest.raises(DataError, match="data.val_size=4 leaves none of 4 examples to train on"):
        first_split(hashes, 0.0, 4, 0)
