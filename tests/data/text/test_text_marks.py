"""Columns of `data=text` that say something of an example: its weight, key, group and time."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from renate.data.base import Data
from renate.data.batch import WEIGHTS
from renate.data.text.source import Texts
from renate.errors import ConfigError, DataError
from tests.data.scenes import texts

pytestmark = pytest.mark.usefixtures("workdir")
ROWS = 60


def marked(**changes: Any) -> Texts:
    plain = {"train": "a.jsonl", "test": None, "text": "text", "target": "label"}
    return texts(**plain | changes)


@pytest.fixture(autouse=True)
def rows(workdir: Path) -> list[dict[str, Any]]:
    found = [
        {
            "text": f"said {number}",
            "label": "ab"[number % 2],
            "importance": number % 3,
            "who": f"u{number % 10}",
            "when": f"2026-01-{1 + number % 30:02d}",
        }
        for number in range(ROWS)
    ]
    Path("a.jsonl").write_text("\n".join(json.dumps(row) for row in found))
    return found


def lengths(data: Data) -> tuple[int, int]:
    return len(data.train["targets"]), len(data.test["test"]["targets"])


def test_weights(rows: list[dict[str, Any]]) -> None:
    data = marked(weight="importance", test="a.jsonl").load(seed=0)
    assert data.train[WEIGHTS].tolist() == [row["importance"] for row in rows]
    assert WEIGHTS not in data.test["test"], "what is measured counts each example once"


def test_groups_and_keys_stay_on_one_side() -> None:
    for key in ("group", "key"):
        data = marked(**{key: "who"}).load(seed=0)
        train, test = lengths(data)
        assert train + test == ROWS
        assert train % (ROWS // 10) == 0, "users of six rows each, whole"
        assert data.split is not None
        assert data.split.by == (key, "who")

    assert lengths(marked().load(seed=0))[0] % (ROWS // 10), "by their texts they are torn apart"


def test_the_newest_are_tested_on(rows: list[dict[str, Any]]) -> None:
    data = marked(time="when").load(seed=0)
    days = np.array([row["when"] for row in rows])
    newest = np.sort(days)[-round(0.25 * ROWS)]
    assert lengths(data) == (int((days < newest).sum()), int((days >= newest).sum()))


def test_times_are_read_as_the_csv_has_them(rows: list[dict[str, Any]]) -> None:
    lines = [
        f"{row['text']},{row['label']},{'.'.join(row['when'].split('-')[::-1])}" for row in rows
    ]
    Path("a.csv").write_text("\n".join(["text,label,when", *lines]))
    german = marked(train="a.csv", time="when", csv={"date_format": "%d.%m.%Y"}).load(seed=0)
    assert lengths(german) == lengths(marked(time="when").load(seed=0))
    assert german.split is not None
    assert german.split.by == ("time", "when", "date")


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match="no column 'weigth', which data.weight names"):
        marked(weight="weigth").load(seed=0)
    with pytest.raises(ConfigError, match="data.key and data.time each say which"):
        marked(key="who", time="when")
    with pytest.raises(ConfigError, match="data.group=label is data.target"):
        marked(group="label")
