"""Numbers are numbers only where nothing is lost; what stays text keeps its spelling."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import TensorDataset

from renate.data.torch_dataset import TorchDataset
from renate.data.transforms import Scale
from renate.errors import ConfigError, DataError
from tests.data.scenes import SHARED, files, load, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def csv(content: str, path: str = "a.csv") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content, newline="")
    return path


@pytest.mark.parametrize(
    ("spelt", "labels"),
    [
        (["007", "07", "7"], ["007", "07", "7"]),
        (["+1", "1", "2"], ["+1", "1", "2"]),
        (["NA", "DE", "null"], ["DE", "NA", "null"]),
        (["3", "-1", "20"], [-1, 3, 20]),
        (["1.0", "2", "0"], [0, 1, 2]),
        (["True", "False", "true"], [0, 1]),
        (["9007199254740993", "9007199254740992", "1"], [1, 9007199254740992, 9007199254740993]),
        (["18446744073709551617", "1", "2"], ["1", "18446744073709551617", "2"]),
    ],
)
def test_labels_of_csv(spelt: list[str], labels: list[Any]) -> None:
    for order in (spelt, spelt[::-1]):
        csv("x,label\n" + "".join(f'1,"{text}"\n' for text in order))
        assert load(files("a.csv")).labels == labels


def test_a_column_is_of_one_kind_in_all_files_of_train_and_test() -> None:
    for name, codes in (("1", ["80331", "7"]), ("2", ["01067", "7"])):
        csv("x,label\n" + "".join(f"1,{code}\n" for code in codes), f"b/{name}.csv")
    assert load(files("b/*.csv", test="b/1.csv")).labels == ["01067", "7", "80331"]
    assert load(files("b/2.csv", test="b/2.csv")).labels == ["01067", "7"]
    assert load(files("b/1.csv")).labels == [7, 80331]


def test_a_late_row_decides_as_well_as_an_early_one() -> None:
    rows = "".join(f"{i % 9},{i % 2}\n" for i in range(400_000))
    csv("x,label\n" + rows + "007,1\n")
    with pytest.raises(DataError, match="a.csv: row 400000 .*column 'x' holds '007', most others"):
        load(files("a.csv"))
    csv("x,label\n" + rows + "1.5,1\n")
    assert float(load(files("a.csv")).train["inputs"].max()) == 8.0


def test_values_of_several_lines_and_long_ones() -> None:
    rows = "".join(f'{i % 5},"first, {i}\nsecond ""line""",{i % 2}\n' for i in range(40_000))
    csv("x,note,label\n" + rows + f"1,{'a' * 2_000_000},0\n")
    assert len(load(files("a.csv", inputs=["x"])).train["targets"]) == 40_001


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            'x,y,label\n1,"1,000",0\n1,2,1\n',
            "row 0 (the first is 0), column 'y' holds '1,000': data.csv.decimal=comma or data.csv.t",
        ),
        (
            'x,label\n"1,5",0\n2,1\n',
            "row 0 (the first is 0), column 'x' holds '1,5': data.csv.decimal=comma reads 3,14",
        ),
        ("x,label\n" + "1,0\n2,1\n" * 9 + "?,1\n", "row 18 (the first is 0), column 'x' holds '?'"),
        ("x,label\n18446744073709551617,0\n1,1\n", "text, or digits beyond int64"),
        ("x,label\n,0\n,1\n", "column 'x' has 2 empty values"),
        ("x,label\n1,0\n1,NA\n2,1\n", "column 'label' has 1 empty values"),
        (
            "x;label\n1,5;0\n",
            "a.csv: not readable as csv: its columns are separated by ';', expected ','",
        ),
        ("x\tlabel\n1\t0\n", "its columns are separated by a tab, expected ','"),
        ("x|label\n1|0\n", "its columns are separated by '|', expected ','"),
        (
            "at,label\n1767225600,0\n1767225630,1\n",
            "column 'at' holds 1767225630, which float32 holds as 1767225600",
        ),
        (
            "at,label\n1767225600.25,0\n1767225600.75,1\n",
            "which float32 makes equal: subtract an offset",
        ),
        (
            "at,label\n1767225600.0,0\n1767225630.0,1\n",
            "which float32 makes equal: subtract an offset",
        ),
    ],
)
def test_csv_that_is_refused(content: str, text: str) -> None:
    csv(content)
    with pytest.raises(DataError) as caught:
        load(files("a.csv"))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_encodings() -> None:
    Path("a.csv").write_text("x,label\n1,0\n2,1\n\n\n", encoding="utf-8-sig")
    assert load(files("a.csv")).train["inputs"].tolist() == [[1.0], [2.0]]
    Path("a.csv").write_text("x,label\n1,0\n2,1\n", encoding="utf-16")
    with pytest.raises(
        DataError, match="it is UTF-16 or binary, expected UTF-8: save the file as UTF-8"
    ):
        load(files("a.csv"))


def test_what_is_no_file_of_a_known_kind() -> None:
    csv("x,label\n1,0\n2,1\n", "spark/part-0.csv")
    csv("", "spark/_SUCCESS")
    for path, text in [
        ("spark", r"data.train=spark is a folder: name its files, as in 'spark/\*.parquet'"),
        (
            "spark/*",
            r"spark/_SUCCESS: unknown suffix '', .*name the files by a glob such as folder/\*.csv",
        ),
        (csv("", "a.txt.gz"), "unknown suffix '.gz', .*unpack it first"),
        (csv("x,label", "a.csv.gz"), "a.csv.gz: not readable as csv: it can't be unpacked"),
        (csv("", "a.tsv"), "unknown suffix '.tsv', .*save it with commas"),
    ]:
        with pytest.raises(DataError, match=text):
            load(files(path))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            '{"x": 1, "label": 0}\n{"x": NaN, "label": 1}',
            "a.json: not readable as json: line 2: NaN is no JSON",
        ),
        ('{"x": 1, "x": 2, "label": 0}', "line 1: key 'x' is there twice in one object"),
        ('[{"x": 1, "label": 0}, 3]', "row 1 is no object"),
        (
            '{"x": {"a": 1}, "label": 0}',
            "column 'x' is struct<a: int64>, expected numbers or images",
        ),
        ('{"x": 1, "label": 0}\n{"x": "a", "label": 1}', "not readable as json: column 'x':"),
        ('{"x": "1,5", "label": 0}\n{"x": "1", "label": 1}', "column 'x' holds '1,5'"),
        ('{"x": 36893488147419103232, "label": 0}', "not readable as json: column 'x':"),
    ],
)
def test_json_that_is_refused(content: str, text: str) -> None:
    Path("a.json").write_text(content)
    with pytest.raises(DataError) as caught:
        load(files("a.json"))
    assert text in str(caught.value)


def test_categories_are_their_values_in_several_files() -> None:
    plain = pa.array(["cat", "dog"])
    write("b/1.parquet", {"x": [1, 2], "label": plain.dictionary_encode()})
    write("b/2.parquet", {"x": [1.5, 2], "label": pa.array(["dog", "emu"], pa.large_string())})
    wide = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int16()), pa.array(["fox", "cat"]))
    write("b/3.parquet", {"x": pa.array([1, 0], pa.int8()), "label": wide})
    write("b/4.parquet", {"x": pa.array([], pa.null()), "label": pa.array([], pa.null())})
    data = load(files("b/*.parquet"))
    assert data.labels == ["cat", "dog", "emu", "fox"]
    assert data.train["targets"].tolist() == [0, 1, 1, 2, 0, 3]


DAY = datetime.datetime(2026, 1, 1)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([DAY.time()] * 2), "column 'x' is time64[us], expected numbers"),
        (pa.array([None, None]), "column 'x' has 2 empty values"),
        (pa.array([[1.0], [1.0, 2.0]]), "a.parquet: column 'x': row 1 holds 2 values, the first 1"),
        (pa.array([[1.0], [None]]), "column 'x' has 1 empty values in its lists"),
        (pa.array([2**24 + 1, 0]), "column 'x' holds 16777217, which float32 holds as 16777216"),
        (pa.array([[0, 2**24 + 1]] * 2), "column 'x[1]' holds 16777217"),
        (pa.array([2**64 - 1, 0], pa.uint64()), "column 'x' holds 18446744073709551615"),
        (pa.array([decimal.Decimal(2**24 + 1), decimal.Decimal(1)]), "column 'x' holds 16777217"),
    ],
)
def test_columns_that_are_refused(column: pa.Array, text: str) -> None:
    write("a.parquet", {"x": column, "label": [0, 1]})
    with pytest.raises(DataError) as caught:
        load(files())
    assert text in str(caught.value)


def test_lists_decimals_and_big_whole_numbers_that_float32_holds() -> None:
    columns = {
        "fixed": pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0, 4.0]), 2),
        "list": pa.array([[5, 6], [7, 8]]),
        "price": pa.array([decimal.Decimal("1.25"), decimal.Decimal("2.50")]),
        "big": pa.array([2**30, 2**40]),
        "label": pa.array([1.0, 0.0]),
    }
    write("a.parquet", columns)
    data = load(files())
    assert data.train["inputs"].tolist() == [[1, 2, 5, 6, 1.25, 2**30], [3, 4, 7, 8, 2.5, 2**40]]
    assert data.labels == [0, 1]


@pytest.mark.parametrize("label", [pa.array([2**63 + 1, 1], pa.uint64()), pa.array([2.0**60, 1.0])])
def test_labels_that_int64_or_a_float_cannot_hold(label: pa.Array) -> None:
    write("a.parquet", {"x": [0, 1], "label": label})
    with pytest.raises(DataError, match="a.parquet: column 'label' holds"):
        load(files())


def test_an_empty_list_of_inputs() -> None:
    with pytest.raises(ConfigError, match=r"data.inputs=\[\]: name a column, or give null"):
        files(inputs=[])


def test_random_fractions_are_rounded_and_not_refused() -> None:
    values = np.random.default_rng(0).random(100_000)
    write("a.parquet", {"x": values, "label": np.arange(100_000) % 2})
    assert load(files()).train["inputs"][:, 0].tolist() == values.astype(np.float32).tolist()


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.int16, torch.int8, torch.bool])
def test_only_uint8_is_scaled(kind: torch.dtype) -> None:
    values = torch.tensor([[1, 0, 100]]).to(kind)
    assert torch.equal(Scale()(values), values.float())


def test_scale_refuses_integers_that_float32_would_change() -> None:
    with pytest.raises(
        DataError, match="transform: Scale found the integer 16777217, which float32 can't hold"
    ):
        Scale()(torch.tensor([[2**24 + 1, 0]]))
    assert Scale()(torch.tensor([2**30])).tolist() == [2.0**30]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.array([1, 2], np.uint16), torch.int32),
        (np.array([1, 2], np.uint32), torch.int64),
        (np.array([1, 2], ">i4"), torch.int32),
        (np.array([True, False]), torch.bool),
        (np.array([1, 2], np.float16), torch.float32),
        (np.array([1, 2], np.float64), torch.float32),
        (torch.tensor([1, 2], dtype=torch.bfloat16), torch.float32),
        (torch.tensor([1, 2], dtype=torch.float64), torch.float32),
        (torch.tensor([1.0, 2.0], requires_grad=True), torch.float32),
    ],
)
def test_items_of_every_kind(value: Any, kind: torch.dtype) -> None:
    items: Any = [(value, label) for label in (np.int32(0), torch.tensor(1.0))]
    data = load(TorchDataset(train=items, test=items, test_size=0.0, **SHARED))
    assert data.train["inputs"].dtype == kind
    assert not data.train["inputs"].requires_grad
    assert data.labels == [0, 1]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ((torch.zeros(2), float("nan")), "item 1: target nan is float"),
        ((torch.zeros(2), 2**63), f"item 1: target {2**63} is beyond int64"),
        ((torch.zeros(2), ""), "item 1: its target is empty text"),
        ((torch.zeros(2), None), "item 1: target None is NoneType"),
        ((torch.zeros(2).to_sparse(), 0), "item 1: its input is torch.float32, torch.sparse_coo"),
        ((torch.zeros(2, dtype=torch.complex64), 0), "item 1: its input is torch.complex64"),
        (
            (np.array([2**63, 1], np.uint64), 0),
            "item 1: its input holds 9223372036854775808, beyond int64",
        ),
        ((torch.zeros(2).long(), 0), "item 1 is torch.int64 [2], item 0 is torch.float32 [2]"),
    ],
)
def test_items_that_are_refused(item: Any, text: str) -> None:
    items: Any = [(torch.zeros(2), 0), item]
    with pytest.raises(DataError) as caught:
        load(TorchDataset(train=items, test=items, test_size=0.0, **SHARED))
    assert text in str(caught.value)


def test_times_in_a_data_set_are_refused() -> None:
    times = torch.tensor([[1767225600.0], [1767225630.0]], dtype=torch.float64)
    items = TensorDataset(times, torch.tensor([0, 1]))
    with pytest.raises(DataError, match="data.train: input 0 holds .* which float32 makes equal"):
        load(TorchDataset(train=items, test=items, test_size=0.0, **SHARED))
