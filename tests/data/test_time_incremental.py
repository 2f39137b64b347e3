"""`scenario=time_incremental`: chunks of periods, of each the newest held out."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from renate.data.base import Data
from renate.data.batch import length
from renate.data.scenarios import TimeIncremental
from renate.errors import ConfigError, DataError
from renate.state.versions import State
from tests.command import renate as command
from tests.data.scenes import as_kept, files
from tests.data.scenes import write as write_table

BEGIN = datetime.datetime(2026, 1, 1)  # a Thursday


def write(path: str, days: list[float], form: str = "date") -> str:
    """Rows in no order of time, each known by its number."""
    order = np.random.default_rng(0).permutation(len(days))
    lines = ["when,number,label"]
    for number in order.tolist():
        moment = BEGIN + datetime.timedelta(days[number])
        shown = moment.isoformat(" ") if form == "date" else f"{days[number]}"
        lines.append(f"{shown},{number},{'ab'[number % 2]}")

    Path(path).write_text("\n".join(lines))
    return path


def load(path: str, scenario: TimeIncremental, **changes: Any) -> Data:
    plain: dict[str, Any] = {"test": None, "time": "when", "inputs": ["number"], "val_size": 0.1}
    known = changes.pop("known", None)
    source = files(path, **plain | changes)
    source.ends = scenario.ends
    source.marker = scenario.marks
    return source.load(seed=0, known=known)


def numbers(scenario: TimeIncremental, data: Data, index: int, part: str) -> list[int]:
    columns = data.test["test"] if part == "test" else data.train if part == "train" else data.val
    assert columns is not None
    chunk = scenario.cut(columns, index, part=part, seed=0, num_classes=2)
    assert "scenario.period" not in chunk
    return sorted(int(row[0]) for row in chunk["inputs"].tolist())


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("form", ["date", "number"])
def test_chunks_of_equally_many(form: str) -> None:
    path = write("a.csv", [number / 4 for number in range(200)], form)
    scenario = TimeIncremental(4, None)
    data = load(path, scenario, standardize=False)
    for index in range(4):
        first = 50 * index
        assert numbers(scenario, data, index, "test") == list(range(first + 38, first + 50))
        assert numbers(scenario, data, index, "val") == list(range(first + 34, first + 38))
        assert numbers(scenario, data, index, "train") == list(range(first, first + 34))

    again = load(path, scenario, known=as_kept(data))
    assert again.split == data.split, "and the next chunk's update holds the same out"


@pytest.mark.usefixtures("workdir")
def test_times_stay_together_and_no_chunk_is_empty() -> None:
    days = [0.0] * 90 + [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0]
    scenario = TimeIncremental(3, None)
    data = load(write("a.csv", days), scenario, test=write("b.csv", days), val_size=0)
    sizes = [len(numbers(scenario, data, index, "train")) for index in range(3)]
    assert sizes[0] == 90
    assert sum(sizes) == 100
    assert min(sizes) >= 1
    with pytest.raises(DataError, match=r"scenario.chunks=12: data.time has 11 different times"):
        load("a.csv", TimeIncremental(12, None), test="b.csv", val_size=0)


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(("unit", "count"), [("day", 42), ("week", 7), ("month", 2), ("year", 1)])
def test_calendar_units(unit: str, count: int) -> None:
    """Against the calendar of the standard library."""
    days = [number / 3 for number in range(126)]
    path = write("a.csv", days)
    with pytest.raises(
        DataError, match=f"has examples in {count} {unit}s: scenario.chunks={count}"
    ):
        load(path, TimeIncremental(count + 1, unit), test=path, val_size=0)

    scenario = TimeIncremental(count, unit)
    data = load(path, scenario, test=path, val_size=0)
    keys = {
        "day": lambda moment: moment.date(),
        "week": lambda moment: moment.isocalendar()[:2],
        "month": lambda moment: (moment.year, moment.month),
        "year": lambda moment: moment.year,
    }
    expected: dict[Any, list[int]] = {}
    for number, day in enumerate(days):
        key = keys[unit](BEGIN + datetime.timedelta(day))
        expected.setdefault(key, []).append(number)

    assert len(expected) == count
    for index, key in enumerate(sorted(expected)):
        assert numbers(scenario, data, index, "train") == expected[key]
        assert numbers(scenario, data, index, "test") == expected[key]

    assert not scenario.notes
    if count > 1:
        load(path, few := TimeIncremental(1, unit), test=path, val_size=0)
        left = len(days) - len(expected[min(expected)])
        assert few.notes == [
            f"scenario: the first 1 of {count} {unit}s are used, {left} later examples of "
            "data.train are left out",
            f"scenario: {left} examples of data.test are later than the last chunk, and left out",
        ]


@pytest.mark.usefixtures("workdir")
def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"scenario.every=weeks: expected day, .* did you mean"):
        TimeIncremental(2, "weeks")
    path = write("a.csv", [1.0, 2.0, 3.0, 4.0], "number")
    with pytest.raises(DataError, match="data.time=when holds numbers, expected dates"):
        load(path, TimeIncremental(2, "week"), standardize=False)
    with pytest.raises(DataError, match="cuts by time: data=files data.time=COLUMN"):
        load(path, TimeIncremental(2, None), time=None)
    Path("b.csv").write_text("number,label\n1,a\n2,b\n")
    with pytest.raises(DataError, match="data.test: scenario=time_incremental cuts by time"):
        load(path, TimeIncremental(2, None), test="b.csv", val_size=0)


@pytest.mark.usefixtures("workdir")
def test_times_of_tests_that_no_chunk_has() -> None:
    path = write("a.csv", [number / 4 for number in range(80)])
    later = write("b.csv", [number / 4 for number in range(100)])
    data = load(path, scenario := TimeIncremental(4, None), test={"new": later}, val_size=0)
    assert scenario.notes == [
        "scenario: 20 examples of data.test.new are later than the last chunk, and left out"
    ]
    scored = [
        length(scenario.cut(data.test["new"], index, part="test", seed=0, num_classes=2))
        for index in range(4)
    ]
    assert scored == [20] * 4

    early = write("c.csv", [0.5, 1.0])
    data = load(path, scenario, test=early, val_size=0)
    assert scenario.notes == []
    with pytest.raises(DataError, match="data.test lacks examples of its time"):
        scenario.cut(data.test["test"], 1, part="test", seed=0, num_classes=2)


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("other", [7.5, "2026-01-03T00:00Z"])
def test_times_of_another_kind_than_those_trained_on(other: Any) -> None:
    path = write("a.csv", [number / 4 for number in range(80)])
    table = {"when": [other, other], "number": [1, 2], "label": ["a", "b"]}
    write_table("b.parquet", table)
    with pytest.raises(DataError, match=r"data\.test: data\.time=when is (number|instant) there"):
        load(path, TimeIncremental(4, None), test="b.parquet", val_size=0)


@pytest.mark.slow
def test_flights_by_weeks(workdir: Path, data_dir: Path) -> None:
    """Late or not, a stream over the first three weeks, from the one file of the year."""
    (workdir / "flights.parquet").symlink_to(data_dir / "nycflights13" / "flights.parquet")
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    flights = pq.read_table(
        "flights.parquet", columns=["time_hour", "carrier", "arr_delay", "dest"]
    )
    march = flights.filter(pc.less(flights["time_hour"], datetime.datetime(2013, 3, 1)))
    march = march.append_column("late", pc.greater(march["arr_delay"], 15)).drop_columns(
        "arr_delay"
    )
    pq.write_table(march, "late.parquet")
    said = command(
        "job=stream",
        "data=files",
        "data.train=late.parquet",
        "data.target=late",
        "data.missing_target=drop",
        "data.time=time_hour",
        "scenario=time_incremental",
        "scenario.chunks=3",
        "scenario.every=week",
        "trainer.max_epochs=1",
        "state.url=./s",
        cwd=workdir,
    )
    assert "scenario: the first 3 of 9 weeks are used" in " ".join(said.stderr.split())
    state = State("./s")
    found = json.loads(bytes(state.read(state.manifest(3), "metrics.json")))
    assert len(found["after"]) >= 3
