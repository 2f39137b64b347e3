"""Each kind of column against pandas, scikit-learn and formulas by hand; rows by themselves."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from renate.data.kept.encoders import KeptEncoder, restore
from renate.data.tables.encoding.encoder import TableEncoder
from renate.errors import ConfigError, DataError, StateError

pd = pytest.importorskip("pandas", reason="the reference is not installed")

RULES: dict[str, Any] = {
    "missing": "auto",
    "unseen": "other",
    "categories": "one_hot",
    "max_categories": 100,
    "standardize": True,
    "kinds": None,
    "tokenizer": None,
    "vocab_size": 300,
    "lowercase": True,
    "max_length": 16,
}
ROWS = 200


def frame(seed: int = 0, rows: int = ROWS) -> Any:
    rng = np.random.default_rng(seed)
    price = np.where(rng.random(rows) < 0.2, np.nan, rng.normal(100, 20, rows).round(2))
    city = rng.choice(np.array(["Bonn", "Köln", "Ulm", None], object), rows)
    at = pd.Timestamp("2026-01-05 06:30") + pd.to_timedelta(rng.integers(0, 60_000, rows), "min")
    at = at.to_series().reset_index(drop=True).mask(rng.random(rows) < 0.1)
    return pd.DataFrame({"price": price, "age": rng.integers(18, 90, rows), "city": city, "at": at})


COLUMNS = [
    ("price", "number", "number"),
    ("age", "number", "number"),
    ("city", "category", "text"),
    ("at", "date", "date"),
]


def raw_of(table: Any) -> dict[str, Any]:
    return {
        "price": table["price"].to_numpy(np.float32),
        "age": table["age"].to_numpy(np.float32),
        "city": table["city"].astype(object).where(table["city"].notna(), None).to_numpy(object),
        "at": table["at"].to_numpy("datetime64[us]"),
    }


def fitted(table: Any, columns: Any = COLUMNS, **changes: Any) -> TableEncoder:
    encoder = TableEncoder(**RULES | changes)
    encoder.declare(columns)
    encoder.fit(raw_of(table))
    return encoder


def encoded(encoder: TableEncoder, table: Any) -> Any:
    names = [name for name, _ in encoder.vector_columns]
    return pd.DataFrame(encoder.encode(raw_of(table)).numpy(), columns=names)


def test_numbers_are_those_of_scikit_learn() -> None:
    table = frame()
    new = frame(seed=1)
    found = encoded(fitted(table), new)
    for name in ("price", "age"):
        scaler = StandardScaler().fit(table[[name]].dropna().astype(np.float32))
        filled = new[[name]].astype(np.float32).fillna(table[name].astype(np.float32).median())
        expected = scaler.transform(filled)[:, 0]
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)

    assert (found["price missing"] == new["price"].isna()).all()
    assert "age missing" not in found, "training missed none"


def test_categories_are_those_of_scikit_learn() -> None:
    table = frame()
    new = frame(seed=1)
    new.loc[0, "city"] = "Trier"
    found = encoded(fitted(table), new)
    known = table[["city"]].dropna()
    reference = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(known)
    expected = reference.transform(new[["city"]].fillna("nowhere"))
    np.testing.assert_array_equal(found[["city=Bonn", "city=Köln", "city=Ulm"]], expected)
    assert (found["city missing"] == new["city"].isna()).all()


def test_the_most_frequent_categories_are_kept() -> None:
    cells = np.array(["a"] * 5 + ["b"] * 5 + ["c"] * 6 + ["d"], object)
    encoder = TableEncoder(**RULES | {"max_categories": 2})
    encoder.declare([("x", "category", "text")])
    encoder.fit({"x": cells})
    assert [name for name, _ in encoder.vector_columns] == ["x=a", "x=c", "x other"]
    rows = encoder.encode({"x": ["a", "b", "c", "new"]}).tolist()
    assert rows == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]

    strict = TableEncoder(**RULES | {"max_categories": 2, "unseen": "error"})
    strict.declare([("x", "category", "text")])
    with pytest.raises(DataError, match="data.max_categories=2: column 'x' has 4, .*categories=4"):
        strict.fit({"x": cells})


def test_dates_are_the_fields_of_pandas() -> None:
    table = frame()
    new = frame(seed=1)
    found = encoded(fitted(table), new)
    at = new["at"].dropna()
    rows = found.loc[at.index]
    minutes = at.dt.hour * 60 + at.dt.minute
    fields = {
        "month": (at.dt.month - 1, 12),
        "day": (at.dt.day - 1, 31),
        "weekday": (at.dt.day_of_week, 7),
        "time": (minutes, 1440),
    }
    for name, (values, period) in fields.items():
        angle = 2 * np.pi * values / period
        np.testing.assert_allclose(rows[f"at {name} sin"], np.sin(angle), atol=1e-6)
        np.testing.assert_allclose(rows[f"at {name} cos"], np.cos(angle), atol=1e-6)

    origin = table["at"].min().normalize()
    years = (at - origin).dt.total_seconds() / (365.25 * 86_400)
    np.testing.assert_allclose(rows["at years"], years, rtol=1e-5, atol=1e-7)

    gone = found[new["at"].isna()]
    median = ((table["at"] - origin).dt.total_seconds() / (365.25 * 86_400)).median()
    np.testing.assert_allclose(gone["at years"], median, rtol=1e-5)
    assert (gone.filter(regex=" sin$| cos$") == 0).all().all()
    assert (found["at missing"] == new["at"].isna()).all()


def test_days_have_no_time_of_day() -> None:
    encoder = TableEncoder(**RULES)
    encoder.declare([("day", "date", "date")])
    encoder.fit({"day": np.array(["2026-01-05", "2026-02-01"], "datetime64[D]")})
    assert not [name for name, _ in encoder.vector_columns if "time" in name]


@pytest.mark.parametrize("categories", ["one_hot", "embed"])
def test_a_row_is_encoded_alike_alone_and_among_others(categories: str) -> None:
    encoder = fitted(frame(), categories=categories)
    table = frame(seed=2, rows=67)
    whole = encoder.encode(raw_of(table))
    for row in range(len(table)):
        alone = encoder.encode(raw_of(table.iloc[[row]]))
        if categories == "embed":
            for name, tensor in alone.items():
                assert torch.equal(tensor[0], whole[name][row])
        else:
            assert torch.equal(alone[0], whole[row])


def test_embedded_categories_are_codes_below_their_cardinality() -> None:
    table = frame()
    encoder = fitted(table, categories="embed")
    table.loc[0, "city"] = "Trier"
    found = encoder.encode(raw_of(table))
    width = found["numbers"].shape[1]
    assert encoder.facts == {"cardinalities": [5], "num_numbers": width, "vocab_size": 0}
    codes = {None: 1, "Bonn": 2, "Köln": 3, "Ulm": 4, "Trier": 0}
    raw = raw_of(table)["city"].tolist()
    assert found["categories"][:, 0].tolist() == [codes[city] for city in raw]


@pytest.mark.parametrize(
    ("rule", "flagged"),
    [("auto", ["price", "city", "at"]), ("flag", ["price", "age", "city", "at"]), ("median", [])],
)
def test_which_columns_say_that_a_value_is_missing(rule: str, flagged: list[str]) -> None:
    names = [name for name, _ in fitted(frame(), missing=rule).vector_columns]
    categories = ["city"] if rule == "median" else []  # a missing category is one of its own
    assert [n.removesuffix(" missing") for n in names if n.endswith(" missing")] == (
        flagged or categories
    )


def test_values_of_a_users_own_types() -> None:
    encoder = fitted(frame())
    raw = {
        "at": ["2026-01-07T10:15", pd.Timestamp("2026-01-07 10:15").to_pydatetime(), None],
        "city": ["Bonn ", "Bonn", ""],
        "age": [20, 20.0, np.int64(20)],
        "price": [None, float("nan"), np.float32(3)],
        "unknown": ["left", "alone", "!"],
    }
    rows = encoder.encode(raw)
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])

    gone = {
        "at": [pd.NaT, None],
        "city": [pd.NA, None],
        "age": [pd.NA, None],
        "price": [pd.NA, None],
    }
    rows = encoder.encode(gone)
    assert torch.equal(rows[0], rows[1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"price": ["1,5"]},
            "row 0 (the first is 0), column 'price' holds '1,5', expected a number",
        ),
        ({"price": [float("inf")]}, "column 'price' is infinite"),
        ({"city": [3]}, "column 'city' holds 3, expected text"),
        ({"at": ["tomorrow"]}, "column 'at' holds 'tomorrow', expected a date as in 2026-11-27"),
        ({"at": ["2026-01-07T10:15+01:00"]}, "expected one without a time zone"),
        ({"citty": ["Bonn"], "city": None}, "no column 'city', did you mean 'citty'?"),
    ],
)
def test_values_that_are_refused(change: dict[str, Any], text: str) -> None:
    raw = {"price": [1.0], "age": [2], "city": ["Bonn"], "at": ["2026-01-07"]} | change
    raw = {name: values for name, values in raw.items() if values is not None}
    with pytest.raises(DataError) as caught:
        fitted(frame()).encode(raw)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rules_that_refuse() -> None:
    strict = fitted(frame(), unseen="error")
    new = frame(seed=1)
    new.loc[7, "city"] = "Trier"
    with pytest.raises(DataError, match="row 7 .*column 'city' holds 'Trier', which training"):
        strict.encode(raw_of(new))

    whole = frame().dropna().reset_index(drop=True)
    filled = fitted(whole, missing="error")
    with pytest.raises(DataError, match="column 'price' is empty: fill it, or drop the row"):
        filled.encode(raw_of(frame()))

    for change, text in [
        ({"missing": "flags"}, "data.missing=flags: .*did you mean 'flag'"),
        ({"unseen": "ignore"}, "data.unseen=ignore: expected one of other, error"),
        ({"max_categories": 0}, "data.max_categories=0: expected 1 to"),
        ({"kinds": {"x": "categorical"}}, "data.kinds.x=categorical: .*mean 'category'"),
    ]:
        with pytest.raises(ConfigError, match=text):
            TableEncoder(**RULES | change)


def through_json(encoder: TableEncoder, **changes: Any) -> dict[str, Any]:
    kept = json.loads(json.dumps(KeptEncoder.of(encoder).state, allow_nan=False))
    kept["columns"][0] |= changes
    found: dict[str, Any] = kept
    return found


def test_what_was_fitted_comes_back_bit_for_bit() -> None:
    encoder = fitted(frame())
    again = TableEncoder(**RULES)
    again.restore(through_json(encoder))
    new = raw_of(frame(seed=1))
    assert torch.equal(again.encode(new), encoder.encode(new))
    assert again.vector_columns == encoder.vector_columns
    assert KeptEncoder.of(again).same_as(KeptEncoder.of(encoder))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "image"},
        {"std": 0},
        {"median": None},
        {"mean": 10**400},
        {"name": "age"},
        {"name": "a\nb"},
        {"flagged": 1},
        {"stored": "struct"},
    ],
)
def test_what_no_update_writes_is_refused(change: dict[str, Any]) -> None:
    encoder = fitted(frame())
    for state in (through_json(encoder, **change), {"columns": []}, {"columns": [3]}, {}):
        again = TableEncoder(**RULES)
        with pytest.raises(StateError, match="can't take what it kept"):
            restore(again, KeptEncoder("renate.x", encoder.settings, state))
