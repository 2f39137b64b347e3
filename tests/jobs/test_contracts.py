"""A state's contract from update to update, and in what is predicted."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import renate
from renate.data.contract.text import from_json
from renate.state.versions import State
from tests.command import Done
from tests.command import renate as command

UPDATE = [
    "data=files",
    "data.target=label",
    "data.val_size=0.2",
    "model.hidden_sizes=[8]",
    "trainer.max_epochs=1",
    "state.url=s",
]


def week(name: str, rows: int = 100, seed: int = 0, **columns: Any) -> str:
    rng = np.random.default_rng(seed)
    table = {
        "x": rng.uniform(0, 1, rows),
        "carrier": rng.choice(["AA", "UA", "DL"], rows),
        "label": rng.choice(["late", "not"], rows),
    }
    pq.write_table(pa.table(table | columns), f"{name}.parquet")
    return f"data.train={name}.parquet"


def update(*lines: str, code: int = 0) -> str:
    done = command(*UPDATE, *lines, cwd=Path.cwd(), code=code)
    return done.stdout + done.stderr


@pytest.fixture
def state(workdir: Path) -> State:
    """One version, trained on numbers and categories."""
    update(week("first"), "state.first=true")
    return State("s")


def contract(*arguments: str, code: int = 0) -> Done:
    return command("state", "contract", "s", *arguments, cwd=Path.cwd(), code=code)


def with_values(name: str, column: str, values: dict[int, Any]) -> str:
    """A week like the first one, but for some values."""
    path = week(name, seed=7).removeprefix("data.train=")
    table = pq.read_table(path)
    changed = table.column(column).to_pylist()
    for row, value in values.items():
        changed[row] = value
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(changed)), path)
    return f"data.train={path}"


def test_a_contract_is_kept_and_held_against(state: State) -> None:
    fitted = from_json(state.read(state.manifest(1), "contract.json"))
    assert fitted.columns["carrier"].categories == ("AA", "DL", "UA")
    assert fitted.columns["x"].range is not None
    assert -0.6 < fitted.columns["x"].range[0] < -0.4
    assert set(fitted.labels or {}) == {"late", "not"}
    assert fitted.examples == 1

    text = contract().stdout
    assert "range: [0.0, 1.0]" not in text
    assert "carrier:" in text

    said = update(with_values("odd", "x", {4: 9.0, 5: -7.5}))
    assert "column 'x': 2 of 100 values are outside -0.4" in said
    assert "9 (odd.parquet row 4), -7.5 (odd.parquet row 5)" in said
    second = state.manifest(2)
    assert second.files["contract.json"] == state.manifest(1).files["contract.json"], "no new blob"


@pytest.mark.slow
def test_an_edited_contract_takes_the_place_of_the_states(state: State) -> None:
    fitted = from_json(state.read(state.manifest(1), "contract.json"))
    text = contract().stdout
    bounds = fitted.columns["x"].range
    assert bounds is not None
    low, high = bounds
    Path("c.yaml").write_text(text.replace(f"[{low}, {high}]", "[0.0, 0.5]"))
    refused = update(week("third", seed=3), "data.contract=c.yaml", "contract=strict", code=1)
    assert "values are outside 0 to 0.5: 0." in refused
    assert "contract.ranges=fail: correct the data, or edit the contract" in refused
    assert state.versions() == [1], "nothing was published"

    said = update(week("third", seed=3), "data.contract=c.yaml", "contract.ranges=fix")
    assert "brought to the nearest bound" in said
    assert "range: [0.0, 0.5]" in contract("2").stdout
    assert "range: [0.0, 0.5]" not in contract("1").stdout
    said = update("data.train=third.parquet", "data.contract=c.yaml", "contract.ranges=fix")
    assert "already published as version 2" in said
    Path("c.yaml").write_text(text)
    said = update(week("fourth", seed=4), "data.contract=c.yaml", "contract=none")
    assert contract("3").stdout == text


@pytest.mark.slow
def test_labels_categories_shares_and_numbers_of_rows(state: State) -> None:
    labels = ["late", "not"] * 49 + ["odd", "odd"]
    assert "model.grow=true grows the model" in update(week("w1", label=labels), code=1)
    said = update("data.train=w1.parquet", "contract.labels=fail", code=1)
    assert (
        "the labels of 2 of 100 rows are none of the contract's 2: 'odd' (w1.parquet row 98)"
        in said
    )
    said = update("data.train=w1.parquet", "contract.labels=fix")
    assert "row 98), 'odd' (w1.parquet row 99); left out" in said
    lineage = state.manifest(2).lineage
    assert lineage["data"]["train"][0][2] == 98

    grown = update(week("w2", label=["late", "not", "new", "new"] * 25, seed=2), "model.grow=true")
    assert "the labels of 50 of 100 rows are none of" in grown
    assert "shares of labels" in grown
    kept = from_json(state.read(state.manifest(3), "contract.json"))
    assert (kept.labels or {})["new"] is None

    said = update(with_values("w3", "carrier", {0: "ZZ", 9: "YY"}), "contract.categories=fix")
    assert (
        "2 of 100 values are none of the contract's 3 categories: 'ZZ' (w3.parquet row 0)" in said
    )
    assert "taken as missing" in said
    gone = with_values("w4", "x", dict.fromkeys(range(30)))
    assert "column 'x': 30 of 100 values are missing, 30.0% of all" in update(gone)
    Path("c.yaml").write_text(contract().stdout.replace("min: 1", "min: 200"))
    few = update(week("w5", seed=5), "data.contract=c.yaml", "contract.examples=fail", code=1)
    assert "100 examples, the contract has at least 200" in few


@pytest.mark.slow
def test_what_is_predicted_for_is_held_against_it(state: State) -> None:
    ask = ["job=predict", "state.url=s", "data=files", "job.surplus=ignore", "output=p.csv"]

    def predict(*lines: str, code: int = 0) -> str:
        done = command(*ask, *lines, cwd=Path.cwd(), code=code)
        return done.stdout + done.stderr

    train = with_values("new", "x", {98: 50.0})
    said = predict(train)
    assert "column 'x': 1 of 100 value is outside" in said
    assert "50 (new.parquet row 98)" in said
    assert "contract.ranges=fail" in predict(train, "contract=strict", "job.overwrite=true", code=1)

    warned = Path("p.csv").read_text().splitlines()
    assert "brought to" in predict(train, "contract.ranges=fix", "job.overwrite=true")
    fixed = Path("p.csv").read_text().splitlines()
    assert warned[:99] == fixed[:99]
    assert warned[99] != fixed[99], "the answer is that to the nearest bound"

    model = renate.load_model("s")
    assert model.outside_contract({"x": [0.5], "carrier": ["AA"]}) == []
    (line,) = model.outside_contract({"x": [0.5, 77.0], "carrier": ["AA", "UA"]})
    assert "1 of 2 value is outside" in line


@pytest.mark.slow
def test_versions_of_before_keep_none(workdir: Path) -> None:
    update(week("first"), "state.first=true", "contract=none")
    assert "contract.json" not in State("s").manifest(1).files
    refused = contract(code=1)
    assert "keeps no contract, as it was written before there were any" in refused.stderr
    update(week("second", seed=2), "contract=strict")
    assert "contract.json" not in State("s").manifest(2).files, "what is old isn't fitted anew"
    assert renate.load_model("s").outside_contract({"x": [99.0], "carrier": ["?"]}) == []


def test_a_strangers_contract_is_refused(state: State) -> None:
    blob = state.manifest(1).files["contract.json"]
    raw = json.loads(bytes(state.read(state.manifest(1), "contract.json")))
    assert raw["format"] == 1
    for text in (b"{", b"[]", json.dumps(raw | {"format": 9}).encode()):
        (Path("s") / blob.key).chmod(0o644)
        os.truncate(Path("s") / blob.key, 0)
        (Path("s") / blob.key).write_bytes(text)
        assert contract(code=1).stderr.startswith("renate: ")
