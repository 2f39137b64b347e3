"""CSV as others write it: read by option, and refused by a line that names the option."""

import datetime
import gzip
from pathlib import Path
from typing import Any

import pytest

from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.read import read_files
from renate.errors import ConfigError, DataError
from tests.data.scenes import files, load

pytestmark = pytest.mark.usefixtures("workdir")

GERMAN = "Stadt;Preis;Anzahl;Tag;label\nKöln;1.234,5;3;05.01.2026;a\nUlm;2,0;?;17.02.2026;b\n"


def read(content: bytes, path: str = "a.csv", **node: Any) -> dict[str, list[Any]]:
    Path(path).write_bytes(content)
    found: dict[str, list[Any]] = read_files([path], Dialect.of(node))[path].table.to_pydict()
    return found


def test_each_key_is_proposed_by_the_error_that_it_mends() -> None:
    node: dict[str, Any] = {"separator": "semicolon"}
    content = GERMAN.encode("latin-1")
    with pytest.raises(DataError, match=r"separated by ';', expected ',': data.csv.separator=semi"):
        read(content)
    with pytest.raises(DataError, match=r"'Stadt' isn't UTF-8, .*data.csv.encoding=latin-1"):
        read(content, **node)

    node |= {"encoding": "latin-1", "decimal": "comma", "thousands": "point", "missing": ["?"]}
    assert read(content, **node) == {
        "Stadt": ["Köln", "Ulm"],
        "Preis": [1234.5, 2.0],
        "Anzahl": [3, None],
        "Tag": ["05.01.2026", "17.02.2026"],
        "label": ["a", "b"],
    }


def test_numbers_of_one_spelling_alone() -> None:
    assert read(b"x,y\n1.5,2\n-3,4\n") == {"x": [1.5, -3.0], "y": [2, 4]}
    comma = {"separator": "semicolon", "decimal": "comma"}
    assert read(b"x;y\n1,5;2\n-3;4\n", **comma) == {"x": [1.5, -3.0], "y": [2, 4]}
    assert read(b"x;y\n1.5;2\n-3;4\n", **comma)["x"] == ["1.5", "-3"], "a point is no comma"
    grouped = comma | {"thousands": "point"}
    assert read(b"x;y\n1.500;2\n-3;4\n", **grouped)["x"] == [1500, -3]
    assert read(b"x;y\n1.50;2\n-3;4\n", **grouped)["x"] == ["1.50", "-3"], "no group of three"


def test_signs_that_are_part_of_a_name() -> None:
    assert read(b'"a;b",c\n1,2\n') == {"a;b": [1], "c": [2]}
    with pytest.raises(DataError, match="separated by ';'.*or data.csv.separator=comma if ';' is"):
        read(b"a;b,c;d;e\n1;2,3;4;5\n")
    assert read(b"a;b,c\n1,2\n", separator="comma") == {"a;b": [1], "c": [2]}
    with pytest.raises(DataError, match="separated by ',', expected ';': data.csv.separator=comma"):
        read(b"a,b\n1,2\n", separator=";")
    assert read(b"only\n1\n", separator=";") == {"only": [1]}


def test_marks_and_packing_are_told_safely() -> None:
    assert read("x,ü\n1,2\n".encode("utf-8-sig")) == {"x": [1], "ü": [2]}
    assert read("x,ü\n1,2\n".encode("utf-16"), encoding="utf-16") == {"x": [1], "ü": [2]}
    with pytest.raises(DataError, match="UTF-16 or binary, .*data.csv.encoding=utf-16"):
        read("x,ü\n1,2\n".encode("utf-16"))
    assert read(gzip.compress(b"x\n1\n"), "a.csv.gz") == {"x": [1]}
    assert read(gzip.compress(b'{"x": 1}\n'), "a.jsonl.gz") == {"x": [1]}
    with pytest.raises(DataError, match=r"a.csv.gz: .*can't be unpacked"):
        read(gzip.compress(b"x\n1\n")[:-4], "a.csv.gz")


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"seperator": ";"}, "data.csv.seperator: no such key, did you mean 'separator'"),
        ({"separator": "colon"}, "data.csv.separator='colon': expected one of comma, semicolon"),
        ({"decimal": ";"}, "data.csv.decimal=';': expected one of comma, point"),
        ({"thousands": "point"}, "data.csv.thousands=point: that is what stands before fractions"),
        ({"encoding": "latin"}, None),
        ({"encoding": "klingon"}, "data.csv.encoding=klingon: no encoding that Python knows"),
        ({"missing": "?"}, r"data.csv.missing='\?': expected a list of texts, as \['\?'\]"),
        ({"date_format": "%H:%M"}, "data.csv.date_format='%H:%M': expected how year, month and"),
    ],
)
def test_dialects_that_are_none(node: dict[str, Any], text: str | None) -> None:
    if text is None:
        assert Dialect.of(node).encoding == "iso8859-1"
        return
    with pytest.raises(ConfigError, match=text):
        Dialect.of(node)


def column(values: list[str], name: str = "x") -> str:
    rows = "".join(f'"{value}",{row % 2}\n' for row, value in enumerate(values))
    Path("a.csv").write_text(f"{name},label\n{rows}")
    return "a.csv"


NUMBERS = [str(n) for n in range(40)]
WORDS = ["the parcel came late", "nobody was at home again", "all is well with this order"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([f"{n},5" for n in range(40)], "holds '0,5': data.csv.decimal=comma reads 3,14, data.kin"),
        ([f"{n}%" for n in range(40)], "holds '0%': make numbers of such values"),
        ([f"€ {n}" for n in range(40)], "holds '€ 0': make numbers of such values"),
        ([f"{n % 9} °C" for n in range(40)], "holds '0 °C': make numbers of such values"),
        ([f"1.{n:03d},50" for n in range(40)], "data.csv.thousands and data.csv.decimal say what"),
        ([*NUMBERS, "unknown"], "row 40 (the first is 0), column 'x' holds 'unknown', most others"),
        ([*NUMBERS, "unknown"], "data.csv.missing=['unknown'] takes it as missing, data.kinds={x:"),
        (
            [f"{n % 28 + 1}.{n % 12 + 1}.2026" for n in range(40)],
            "which may be a date: data.csv.da",
        ),
        (["2026-01-05"] * 39 + ["soon"], "holds 'soon', most others are dates as in 2026-11-27"),
        ([f"id-{n}" for n in range(40)], "holds 40 different values in as many rows"),
        ([""] * 4, "column 'x' has 4 empty values"),
    ],
)
def test_what_must_be_said(values: list[str], text: str) -> None:
    with pytest.raises(DataError) as caught:
        load(files(column(values)))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "changes"),
    [
        (["red", "green"] * 20, "category", {}),
        (["01067", "80331", "10115"] * 20, "category", {}),
        (["7", "9", "x1"] * 20, "category", {}),
        (["2026-01-05", "2026-01-06T10:30"] * 20, "date", {}),
        (["2026-01-05T10:30:00Z", "2026-01-06T10:30+01:00"] * 20, "date", {}),
        (WORDS * 20, "category", {}),
        ([f"{n}%" for n in range(40)], "category", {"kinds": {"x": "category"}}),
        (["007", "8"] * 20, "category", {"kinds": {"x": "category"}}),
        ([*NUMBERS, "unknown"], "number", {"csv": {"missing": ["unknown"]}}),
        (
            ["5.1.2026", "6.1.2026"] * 20,
            "date",
            {"csv": {"date_format": "%d.%m.%Y"}},
        ),
    ],
)
def test_what_is_told_safely(values: list[str], kind: str, changes: dict[str, Any]) -> None:
    data = load(files(column(values), **changes))
    assert data.encoder is not None
    assert data.encoder.state()["columns"][0]["kind"] == kind


def test_dates_of_another_format_are_those_dates() -> None:
    days = [datetime.date(2026, 1 + n % 12, 1 + n % 28) for n in range(40)]
    changes = {"csv": {"date_format": "%d.%m.%Y"}}
    german = load(files(column([day.strftime("%d.%m.%Y") for day in days]), **changes))
    iso = load(files(column([day.isoformat() for day in days])))
    assert german.train["inputs"].equal(iso.train["inputs"])
    with pytest.raises(
        DataError, match=r"row 40 .*holds '2026-01-05', which isn't data.csv.date_f"
    ):
        load(files(column([*(day.strftime("%d.%m.%Y") for day in days), "2026-01-05"]), **changes))


@pytest.mark.parametrize("odd", ["31.02.2026", "31.04.2026", "29.02.2025", "27.11.26"])
def test_days_that_there_are_not_are_no_other_days(odd: str) -> None:
    """pyarrow takes 31.02.2026 as the third of March, and 27.11.26 as a day of the year 26."""
    days = [*(f"{1 + n % 28:02d}.02.2026" for n in range(40)), odd]
    said = f"row 40 .*holds '{odd}', which isn't data.csv.date_format=%d.%m.%Y"
    with pytest.raises(DataError, match=said):
        load(files(column(days), csv={"date_format": "%d.%m.%Y"}))
    with pytest.raises(DataError, match=said):
        load(
            files(column(days), csv={"date_format": "%d.%m.%Y"}, kinds={"x": "date"}),
        )
