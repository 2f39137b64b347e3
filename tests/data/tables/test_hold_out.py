"""What is held out by key, by group and by time, over several updates."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from renate.data.base import Data, Known
from renate.data.kept.split import Split
from renate.errors import ConfigError, DataError
from tests.data.scenes import as_kept, files

pytestmark = pytest.mark.usefixtures("workdir")

HELD: dict[str, Any] = {"test": None, "test_size": 0.25, "val_size": 0.2, "standardize": None}
WEEK = 7 * 86_400_000_000


def write(week: int, rows: int = 200, customers: int = 40) -> None:
    """Rows of one week, each with a number of its own in `x`, the customer, and the moment."""
    rng = np.random.default_rng(week)
    moments = np.datetime64("2026-01-05", "us").astype(np.int64) + WEEK * week
    at = moments + rng.permutation(rows) * (WEEK // rows)
    table = {
        "x": np.arange(rows, dtype=np.float32) + 1000 * week,
        "customer": [f"c{number}" for number in rng.integers(0, customers, rows)],
        "at": at.view("datetime64[us]"),
        "label": rng.integers(0, 2, rows),
    }
    pq.write_table(pa.table(table), f"{week}.parquet")


def column(path: str, name: str) -> dict[float, Any]:
    """x -> the value of a column."""
    table = pq.read_table(path).to_pydict()
    return dict(zip(table["x"], table[name], strict=True))


def sides(data: Data) -> dict[str, set[float]]:
    """What x each side has."""
    assert data.val is not None
    parts = {"train": data.train, "val": data.val, "test": data.test["test"]}
    return {name: set(part["inputs"][:, 0].tolist()) for name, part in parts.items()}


def load(train: Any, known: Data | None = None, **changes: Any) -> Data:
    kept = None
    if known is not None:
        before = as_kept(known)
        split = Split.from_json(json.loads(json.dumps(known.split.to_json())))  # type: ignore[union-attr]
        kept = Known(before.problem, before.inputs, split)
    data: Data = files(train, **HELD | changes).load(seed=0, known=kept)
    return data


def test_a_group_stays_on_one_side_over_all_updates() -> None:
    write(1)
    write(2)
    rules = {"group": "customer", "inputs": ["x"]}
    first = load("1.parquet", **rules)
    second = load(["1.parquet", "2.parquet"], first, **rules)
    customers: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    for data in (first, second):
        of_x = column("1.parquet", "customer") | column("2.parquet", "customer")
        for side, found in sides(data).items():
            customers[side] |= {of_x[x] for x in found}

    assert all(customers.values())
    assert not customers["train"] & (customers["val"] | customers["test"])
    assert not customers["val"] & customers["test"]
    assert all(sides(first)[side] <= sides(second)[side] for side in customers)


def test_a_key_says_what_an_example_is_whatever_its_inputs_are() -> None:
    for week, shift in ((1, 0.0), (2, 0.5)):
        table = {
            "id": np.arange(200),
            "x": np.arange(200, dtype=np.float32) + shift,
            "label": np.arange(200) % 2,
        }
        pq.write_table(pa.table(table), f"{week}.parquet")

    first = load("1.parquet", key="id")
    assert first.inputs is not None
    assert first.inputs.names == ["x"], "the key is no input"
    second = load("2.parquet", first, key=["id"])
    moved = {side: {x + 0.5 for x in found} for side, found in sides(first).items()}
    assert sides(second) == moved
    assert load("1.parquet", key="id", inputs=["x", "id"]).inputs.names == ["x", "id"]  # type: ignore[union-attr]

    Path("3.csv").write_text("id,x,label\n" + "".join(f"{n}.0,{n},{n % 2}\n" for n in range(200)))
    assert sides(load("3.csv", key="id", standardize=None)) == sides(first), "7 and 7.0 are one"
    for rules, text in [
        ({}, "goes by all inputs, in the state by data.key=\\[id\\], and no example may"),
        ({"key": "ids"}, "no column 'ids', which data.key names, did you mean 'id'"),
        ({"group": "id"}, "goes by data.group=\\[id\\], in the state by data.key=\\[id\\]"),
    ]:
        with pytest.raises(DataError, match=text):
            load("1.parquet", first, **{"inputs": ["x"]} | rules)


def test_the_newest_are_held_out_and_stay_so_over_five_updates() -> None:
    rules = {"time": "at", "inputs": ["x"]}
    known = None
    trained: set[float] = set()
    held: set[float] = set()
    moments: dict[float, Any] = {}
    for week in range(1, 6):
        write(week)
        moments |= column(f"{week}.parquet", "at")
        known = load([f"{n}.parquet" for n in range(1, week + 1)], known, **rules)
        found = sides(known)
        trained |= found["train"]
        held |= found["val"] | found["test"]
        assert not trained & held
        new = {side: [x for x in xs if x >= 1000 * week] for side, xs in found.items()}
        assert {side: len(xs) for side, xs in new.items()} == {"train": 120, "val": 30, "test": 50}
        times = {side: [moments[x] for x in xs] for side, xs in new.items()}
        assert max(times["train"]) < min(times["val"])
        assert max(times["val"]) < min(times["test"])

    # What comes late is on the side of its time, and a file read again changes nothing
    again = load([f"{n}.parquet" for n in range(1, 6)], known, **rules)
    assert again.split == known.split
    assert sides(again) == sides(known)


def test_numbers_may_be_times_and_equal_times_stay_together() -> None:
    table = {"x": np.arange(60, dtype=np.float32), "day": np.arange(60) // 10, "label": [0, 1] * 30}
    pq.write_table(pa.table(table), "a.parquet")
    found = sides(load("a.parquet", time="day", inputs=["x"]))
    assert {side: {int(x) // 10 for x in xs} for side, xs in found.items()} == {
        "train": {0, 1, 2},
        "val": {3},
        "test": {4, 5},
    }
    first = load("a.parquet", time="day", inputs=["x"], val_size=5)
    assert len(sides(first)["val"]) == 10, "as many, and those of the same time"
    assert load("a.parquet", first, time="day", inputs=["x"], val_size=5).split == first.split

    pq.write_table(pa.table(table | {"day": [7] * 60}), "a.parquet")
    with pytest.raises(
        DataError, match=r"data.test_size=0.25: the newest of 60 examples are as old"
    ):
        load("a.parquet", time="day", inputs=["x"])


def test_what_is_refused() -> None:
    write(1)
    first = load("1.parquet", time="at", inputs=["x"])
    with pytest.raises(DataError, match=r"by all inputs, in the state by data.time=at \(date\)"):
        load("1.parquet", first, inputs=["x"])
    for rules, text in [
        ({"time": "at", "group": "customer"}, "data.group and data.time each say which examples"),
        ({"time": ["at", "x"]}, r"data.time=\['at', 'x'\]: expected one column"),
        ({"weight": "label"}, "data.weight=label is data.target: name another column"),
        ({"time": "when"}, "no column 'when', which data.time names"),
        ({"group": "gone"}, r"row 3 \(the first is 0\), column 'gone' is empty, data.group needs"),
    ]:
        table = pq.read_table("1.parquet")
        gone = [None if row == 3 else "a" for row in range(len(table))]
        pq.write_table(table.append_column("gone", [gone]), "2.parquet")
        with pytest.raises((DataError, ConfigError), match=text):
            load("2.parquet", **{"inputs": ["x"]} | rules)


@pytest.mark.parametrize(
    "change",
    [
        {"by": ["time", "at", "date"]},
        {"by": ["owner", "x"]},
        {"by": []},
        {"periods": [[1, 2, 3]]},
        {"by": ["time", "at", "date"], "periods": [[1, 2]]},
        {"by": ["time", "at", "date"], "periods": [[1, 2, None]]},
        {"by": ["time", "at", "date"], "periods": [[1, 2, 3], [1, 2, 3]]},
        {"by": ["time", "at", "date"], "periods": [[1, "2", 3]]},
    ],
)
def test_splits_that_no_update_writes(change: dict[str, Any]) -> None:
    plain = {"test": 0.2, "val": 0.1, "asked": 0.1, "key": 1, "moved": {}}
    assert Split.from_json(plain) == Split(0.2, 0.1, 0.1, 1)
    assert Split.from_json(plain).to_json() == plain, "as before"
    with pytest.raises(ValueError, match="split: "):
        Split.from_json(plain | change)
    held = replace(Split.from_json(plain), by=("key", "id"))
    assert Split.from_json(held.to_json()) == held
