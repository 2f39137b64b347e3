"""Columns that are larger than `data.max_ram`: the same as in memory, in mapped files."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from renate.data.base import Data, Known
from renate.data.mapped import from_csv
from renate.data.mapped.rows import (
    Scratch,
    ends_of_columns,
    folder_of,
    joined_rows,
    mapped_empty,
    take_rows,
)
from renate.data.scenarios import ClassIncremental
from renate.data.tables.standardize import Standardize
from renate.errors import ConfigError, DataError
from tests.data.images.scenes_of_images import folder, write_folder
from tests.data.scenes import as_kept, files, write

pytestmark = pytest.mark.usefixtures("workdir")
ROWS = 3000


def numbers(seed: int = 0, rows: int = ROWS) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "b": rng.normal(size=rows),
        "a": rng.integers(-9, 9, rows),
        "label": rng.integers(0, 3, rows),
        "flag": rng.random(rows) < 0.5,
        "small": rng.normal(size=rows).astype(np.float32),
        "week": rng.integers(0, 40, rows),
    }


def test_rows_are_joined_where_one_of_them_lies(tmp_path: Path) -> None:
    one = torch.randn(4, 3)
    other = mapped_empty(tmp_path, 2, (3,), torch.float32).copy_(torch.randn(2, 3))
    assert folder_of(joined_rows([one, one])) is None
    for columns in ([one, other], [other, one], [other, other]):
        found = joined_rows(columns)
        assert folder_of(found) == tmp_path
        assert found.equal(torch.cat(columns))


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (999, 1), (70_001, 64)])
def test_ends_of_columns_are_those_of_all_parts(rows: int, columns: int) -> None:
    vectors = torch.randn(rows, columns)
    lows, highs = ends_of_columns(vectors)
    assert lows.equal(vectors.amin(0))
    assert highs.equal(vectors.amax(0))
    vectors[-1, 0] = float("nan")
    assert all(bool(ends[0].isnan()) for ends in ends_of_columns(vectors))


def both(train: Any, known: Known | None = None, **changes: Any) -> tuple[Data, Data]:
    """The same data in memory and in mapped files."""
    return (
        files(train, **changes).load(seed=1, known=known),
        files(train, max_ram=1000, **changes).load(seed=1, known=known),
    )


def check_same(one: Data, other: Data) -> None:
    for part, mapped in [(one.train, other.train), (one.val, other.val)]:
        assert (part is None) == (mapped is None)
        for name in part or {}:
            assert part[name].equal(mapped[name])  # type: ignore[index]
    for name, columns in one.test.items():
        assert all(columns[column].equal(other.test[name][column]) for column in columns)

    assert other.inputs == one.inputs
    assert other.split == one.split
    assert other.notes == one.notes
    assert other.files == one.files


@pytest.mark.parametrize("given", [{"test": "test.parquet"}, {"test": None, "val_size": 0.2}])
@pytest.mark.parametrize(
    "more", [{}, {"inputs": ["small", "a"]}, {"weight": "week"}, {"key": "b"}, {"time": "b"}]
)
def test_the_same_as_in_memory(given: dict[str, Any], more: dict[str, Any]) -> None:
    write("1.parquet", numbers(0))
    pq.write_table(pa.table(numbers(1)), "2.parquet", row_group_size=700)
    write("test.parquet", numbers(2, 500))
    one, other = both(["1.parquet", "2.parquet"], **given, **more)
    check_same(one, other)
    assert folder_of(other.train["inputs"]) is not None
    assert folder_of(one.train["inputs"]) is None
    assert not list(Path("cache").glob("columns-*")), "the files have no names"

    later = numbers(3) | {"b": numbers(3)["b"] + 10}
    write("3.parquet", {name: later[name] for name in sorted(later)})
    check_same(*both("3.parquet", as_kept(one), **given, **more))


@pytest.mark.parametrize("more", [{}, {"inputs": ["small", "a"]}, {"weight": "week", "test": None}])
def test_csv_is_the_same_as_in_memory(more: dict[str, Any]) -> None:
    """Also where the second file alone says that a column has fractions."""
    other = numbers(1) | {"a": numbers(1)["a"] + 0.5}
    named = [write("1.csv", numbers(0)), write("2.csv", other)]
    given = {"test": write("test.csv", numbers(2, 500))} | more
    one, other_data = both(named, **given)
    check_same(one, other_data)
    assert folder_of(other_data.train["inputs"]) is not None
    kept = sorted(Path("cache").glob("csv-*.parquet"))
    assert len(kept) == 2 + (given["test"] is not None)
    stamps = [path.stat().st_mtime_ns for path in kept]
    check_same(*both(named, **given))
    assert [path.stat().st_mtime_ns for path in kept] == stamps, "written once"

    check_same(*both(write("3.csv", numbers(3)), as_kept(one), **given))


def test_csv_that_changes_while_it_is_read_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("1.csv", numbers(0))
    typed = from_csv._typed

    def changed(*given: Any) -> Any:
        write("1.csv", numbers(1))
        return typed(*given)

    monkeypatch.setattr(from_csv, "_typed", changed)
    with pytest.raises(DataError, match=r"1.csv: it has changed while it was read: start again"):
        files("1.csv", max_ram=1000, test=None).load(seed=0)
    assert not [*Path("cache").glob("csv-*"), *Path("cache").glob(".csv-*")]


def test_csv_as_it_is_written_elsewhere() -> None:
    lines = [f"{n / 7:.3f};{n % 5};{n % 2}".replace(".", ",") for n in range(400)]
    Path("a.csv").write_text("\ufeffx;y;label\n" + "\n".join(lines))
    csv = {"separator": "semicolon", "decimal": "comma"}
    one, other = both("a.csv", csv=csv, test=None)
    check_same(one, other)
    assert folder_of(other.train["inputs"]) is not None
    with pytest.raises(DataError, match="a.csv: not readable as csv: its columns are separated"):
        files("a.csv", max_ram=1000).load(seed=0)


@pytest.mark.parametrize("odd", ["12x", ""])
def test_csv_of_something_else_is_read_whole(odd: str) -> None:
    lines = [f"{n},{'red' if n % 3 else 'blue'},{n % 2}" for n in range(400)]
    lines[7] = f"{odd},blue,1"
    Path("a.csv").write_text("x,y,label\n" + "\n".join(lines))
    given = {"test": None, "standardize": None, "kinds": {"x": "category"} if odd else None}
    one, other = both("a.csv", **given)
    check_same(one, other)
    assert not list(Path("cache").glob("csv-*"))
    assert folder_of(other.train["inputs"]) is not None, "what is made of it is mapped"


def test_an_unseen_category_is_named_by_its_row_in_mapped_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("renate.data.mapped.rows.PART", 1000)
    colours = ["red", "blue"] * 200
    write("1.parquet", {"x": range(400), "y": colours, "label": [0, 1, 1, 0] * 100})
    source = files("1.parquet", unseen="error", max_ram=1000, test=None)
    source.load(seed=0)
    assert source.encoder is not None
    odd = np.array([*colours[:-1], "green"], object)
    with pytest.raises(DataError, match="row 399 .the first is 0., column 'y' holds 'green'"):
        source.encoder.encode({"x": np.arange(400), "y": odd})


def test_kinds_that_differ_between_files() -> None:
    write("1.parquet", numbers(0))
    write("2.parquet", numbers(1) | {"a": numbers(1)["a"] + 0.5, "week": numbers(1)["week"] > 3})
    with pytest.raises(DataError) as whole:
        files(["1.parquet", "2.parquet"]).load(seed=0)
    with pytest.raises(DataError) as by_parts:
        files(["1.parquet", "2.parquet"], max_ram=1000).load(seed=0)
    assert str(by_parts.value) == str(whole.value)

    write("2.parquet", numbers(1) | {"a": numbers(1)["a"] + 0.5})
    check_same(*both(["1.parquet", "2.parquet"]))


@pytest.mark.parametrize(
    "odd",
    [
        {"a": np.arange(ROWS) + 2**24},
        {"b": np.arange(ROWS) * 2.0**-20 + 1.7e9},
        {"b": np.arange(ROWS) + 2.0**25},
        {"b": np.where(np.arange(ROWS) == 2500, 1e300, 0.0)},
        {"small": np.where(np.arange(ROWS) == 2500, np.inf, 0).astype(np.float32)},
    ],
)
def test_numbers_that_are_refused(odd: dict[str, Any]) -> None:
    write("1.parquet", numbers(0) | odd)
    with pytest.raises(DataError) as whole:
        files("1.parquet").load(seed=0)
    with pytest.raises(DataError) as by_parts:
        files("1.parquet", max_ram=1000).load(seed=0)
    assert str(by_parts.value) == str(whole.value)


@pytest.mark.parametrize("missing", ["auto", "error"])
@pytest.mark.parametrize("gone", [None, float("nan")])
def test_values_that_are_missing(missing: str, gone: float | None) -> None:
    """An encoder that flags them takes whole columns, whatever their size."""
    table = numbers(0)
    write("1.parquet", table | {"b": pa.array([*table["b"][:-1].tolist(), gone])})
    if missing == "error":
        with pytest.raises(DataError) as whole:
            files("1.parquet", missing="error").load(seed=0)
        with pytest.raises(DataError) as by_parts:
            files("1.parquet", missing="error", max_ram=1000).load(seed=0)
        assert str(by_parts.value) == str(whole.value)
        return

    one, other = both("1.parquet")
    check_same(one, other)
    assert other.encoder is not None
    assert other.train["inputs"][:, -1].sum() == 1 or other.train["inputs"].shape[1] > 5


def test_scales_of_what_is_larger_than_memory() -> None:
    write("1.parquet", numbers(0))
    one, other = both("1.parquet", standardize=True)
    assert isinstance(other.encoder, Standardize)
    assert isinstance(one.encoder, Standardize)
    torch.testing.assert_close(other.encoder.mean, one.encoder.mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(other.encoder.std, one.encoder.std, rtol=1e-12, atol=0)
    torch.testing.assert_close(other.train["inputs"], one.train["inputs"])
    assert folder_of(other.train["inputs"]) is not None


def test_images_and_chunks_of_what_is_mapped() -> None:
    write_folder(Path("photos"), 30)
    one = folder(val_size=0.2).load(seed=0)
    other = folder(val_size=0.2, max_ram=1000).load(seed=0)
    check_same(one, other)
    assert folder_of(other.train["inputs"]) is not None

    scenario = ClassIncremental(3, None, shuffle=False)
    for index in range(3):
        cut = [
            scenario.cut(data.train, index, part="train", seed=0, num_classes=3)
            for data in (one, other)
        ]
        assert cut[0]["inputs"].equal(cut[1]["inputs"])
        assert folder_of(cut[1]["inputs"]) is not None


def test_rows_of_a_mapped_file(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = mapped_empty(Path("cache"), 50, (3,), torch.float32)
    assert not tensor.any(), "a file of zeros"
    tensor.copy_(torch.arange(150.0).view(50, 3))
    index = torch.tensor([49, 0, 7, 7])
    monkeypatch.setattr("renate.data.mapped.rows.PART", 24)
    taken = take_rows(tensor[10:], index[1:])
    assert taken.equal(tensor[10:].index_select(0, index[1:]))
    assert folder_of(taken) == Path("cache").absolute()
    assert take_rows(torch.ones(5, 2), index[1:2], Scratch(Path("cache"), 8)).shape == (1, 2)


def test_no_room_and_no_sense() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DataError, match="cache: 0.0 GB of columns can't be kept there"):
            mapped_empty(Path("cache"), 1000, (4,), torch.float32)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with pytest.raises(ConfigError, match="data.max_ram=0: expected bytes, 1 or more, or null"):
        files("1.parquet", max_ram=0)
