"""The contract of a state's data: fitted, edited, and what later data that break it lead to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from renate.data.contract.document import ColumnContract, Contract
from renate.data.contract.fitting import fitted_columns
from renate.data.contract.fixing import without_rows
from renate.data.contract.inspection import Inspection
from renate.data.contract.rules import CHOICES, FAIL, FIX, Rules
from renate.data.contract.text import from_json, read_contract, to_json, to_yaml
from renate.data.contract.views import views_of
from renate.data.ragged import Ragged
from renate.data.table import File, Table, place_of
from renate.errors import ConfigError, DataError

SLACK = {"ranges": 0.5, "missing": 0.1, "lengths": 1.0, "balance": 0.2, "examples": 0.01}


def rules_of(**actions: str) -> Rules:
    return Rules.of({**actions, "slack": SLACK, "most_categories": 100})


def inspected(
    inputs: Any, contract: Contract, action: str, columns: Any = ()
) -> tuple[Any, list[str]]:
    actions = {c: action if action in choices else "warn" for c, choices in CHOICES.items()}
    inspection = Inspection(contract, rules_of(**actions), "data.train")
    after = inspection.look(inputs, columns, None, "row {}".format)
    return after, inspection.conclude()


@given(
    arrays(
        np.float32, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-99, 99, width=32)
    ),
    arrays(
        np.float32, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-99, 99, width=32)
    ),
)
@settings(max_examples=20, deadline=None)
def test_numbers_fit_their_own_contract_and_fixed_ones_too(
    before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]
) -> None:
    names = (("a", "number"), ("b", "number"))
    fitted = fitted_columns(
        views_of(torch.from_numpy(before), names, None), rules_of(ranges="warn")
    )
    contract = Contract(fitted)
    _, said = inspected(torch.from_numpy(before), contract, FAIL, names)
    assert said == []

    later = torch.from_numpy(after)
    fixed, said = inspected(later, contract, FIX, names)
    _, left = inspected(fixed, contract, FAIL, names)
    assert left == []
    low = before.min(0) - (before.max(0) - before.min(0)) * 0.5
    high = before.max(0) + (before.max(0) - before.min(0)) * 0.5
    expected = np.clip(after, low.astype(np.float32), high.astype(np.float32))
    np.testing.assert_allclose(
        fixed.numpy(), expected, rtol=0, atol=1e-5 + 2e-4 * (high - low).max()
    )
    odd = ((after < low - 1e-4) | (after > high + 1e-4)).any()
    assert later.equal(torch.from_numpy(after)), "what was given stays as it is"
    assert bool(said) or not odd


def test_bounds_are_those_of_the_values_precision() -> None:
    contract = Contract({"x": ColumnContract("number", range=(0.0, 0.1))})
    values = torch.tensor([[0.1], [0.0]])  # 0.1 in 32 bits is larger than in 64
    assert inspected(values, contract, FAIL, (("x", "number"),))[1] == []
    with pytest.raises(
        DataError, match=r"column 'x': 1 of 1 value is outside 0 to 0.1: 0.2 \(row 0"
    ):
        inspected(torch.tensor([[0.2]]), contract, FAIL, (("x", "number"),))


def test_texts_and_rows_of_any_length() -> None:
    inputs = {"note": ["short", None, "long" * 10], "ids": Ragged.of([[1], [1, 2, 3], [1] * 9])}
    contract = Contract(fitted_columns(views_of(inputs, (), None), rules_of(lengths="warn")))
    assert contract.columns["note"].length == (0, 80)
    assert contract.columns["ids"].length == (0, 18)
    more = {"note": ["x" * 81, "y", "z"], "ids": Ragged.of([[1] * 19, [2], []])}
    with pytest.raises(DataError, match=r"not 0 to 80 characters long: 'xxxx.*row 0.*1 more such"):
        inspected(more, contract, FAIL)
    fixed, said = inspected(more, contract, FIX)
    assert [len(text) for text in fixed["note"]] == [80, 1, 1]
    assert fixed["ids"].lengths.tolist() == [18, 1, 0]
    assert len(said) == 2
    assert more["ids"].lengths.tolist() == [19, 1, 0]
    assert all("; those that are too long are cut" in line for line in said)


def test_images_have_their_shape_and_tensors_their_range() -> None:
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    names = (("img", "image"),)
    contract = Contract(fitted_columns(views_of(images, names, None), rules_of(ranges="warn")))
    assert contract.columns["img"] == ColumnContract("image", dtype="uint8", shape=(3, 8, 8))
    with pytest.raises(
        DataError, match=r"examples of shape \[3, 9, 8\], the contract's are \[3, 8, 8"
    ):
        inspected(torch.zeros(4, 3, 9, 8, dtype=torch.uint8), contract, FAIL, names)
    series = torch.rand(5, 7)
    fitted = fitted_columns(views_of(series, (), None), rules_of(ranges="warn"))
    after, said = inspected(series + 9, Contract(fitted), FIX)
    assert "5 of 5 values are outside" in said[0]
    assert float(after.max()) <= 2.0


def test_columns_of_other_names_are_not_held_against_it() -> None:
    """As a state that was begun with tensors may go on with a table."""
    contract = Contract({"inputs": ColumnContract("tensor", range=(0.0, 1.0))})
    names = (("a", "number"), ("b", "number"))
    after, said = inspected(torch.full((3, 2), 9.0), contract, FAIL, names)
    assert float(after.sum()) == 54
    assert said == [
        "data.train: of its columns (a, b) none is in the contract (inputs): they aren't held "
        "against it"
    ]
    partial = Contract({"a": ColumnContract("number"), "c": ColumnContract("number")})
    with pytest.raises(DataError, match="column 'c' isn't there"):
        inspected(torch.full((3, 2), 9.0), partial, FAIL, names)


def test_missing_shares_are_of_all_rows_looked_at() -> None:
    contract = Contract({"t": ColumnContract("text", missing=0.45)})
    inspection = Inspection(contract, rules_of(missing="warn"), "inputs")
    inspection.look(["a", "b"], (("t", "text"),), None, "row {}".format)
    inspection.look([None, None, "c"], (("t", "text"),), None, "later row {}".format)
    assert inspection.conclude() == []
    inspection.look([None, " ", "d"], (("t", "text"),), None, "last row {}".format)
    (line,) = inspection.conclude()
    assert "4 of 8 values are missing, 50.0% of all, the contract has at most 45.0%" in line
    assert "later row 0, later row 1, last row 0" in line


EVERY_KIND = Contract(
    {
        "n": ColumnContract("number", range=(-1.5, 2.0), missing=0.1),
        "c": ColumnContract("category", categories=("NO", "1e3", "ü"), missing=0.0),
        "d": ColumnContract("date", range=("2026-01-01T00:00:00", None)),
        "t": ColumnContract("text", length=(0, 9)),
        "i": ColumnContract("image", dtype="uint8", shape=(3, 8, 8)),
    },
    labels={"yes": (0.1, 0.5), "NO": None},
    target_range=(0.0, None),
    examples=7,
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(to_yaml(EVERY_KIND))
    assert read_contract(str(tmp_path / "c.yaml")) == EVERY_KIND
    assert from_json(to_json(EVERY_KIND)) == EVERY_KIND
    assert EVERY_KIND.with_labels(["new"]).labels == {"new": None, "yes": (0.1, 0.5), "NO": None}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("number", "numbr"), r"columns.n.type is numbr, expected one of number"),
        (("[-1.5, 2.0]", "[3, 2]"), r"columns.n.range is .*, its least is above its greatest"),
        (("[-1.5, 2.0]", "[.nan, 2]"), r"columns.n.range is nan, expected a finite number"),
        (("missing: 0.1", "missing: 11"), r"columns.n.missing is 11, expected 0 to 1"),
        (("['NO'", "[NO"), r"columns.c.categories\[0\] is False, expected text: put it"),
        (("label: 'NO'", "label: NO"), r"target.labels\[1\].label is False, expected text"),
        (("label: 'NO'", "label: 'yes'"), r"target.labels holds 'yes' twice"),
        (("'2026-01-01T00:00:00'", "5"), r"columns.d.range holds 5, expected dates as in"),
        (("format: 1", "format: 2"), r"format is 2, expected 1"),
        (("  t:", "  n:"), r"no YAML that can be read: 'n' is there twice"),
        (("examples:", "exampels:"), r"the contract has an unknown key 'exampels'"),
        (("length: [0, 9]", "length: [0]"), r"columns.t.length is \[0\], expected \[least, gre"),
        (("{", "{{"), r"no YAML that can be read"),
    ],
)
def test_a_mistake_is_told_by_its_key(tmp_path: Path, edit: tuple[str, str], message: str) -> None:
    text = to_yaml(EVERY_KIND)
    assert edit[0] in text, text
    (tmp_path / "c.yaml").write_text(text.replace(*edit, 1))
    with pytest.raises(ConfigError, match=message) as raised:
        read_contract(str(tmp_path / "c.yaml"))
    assert "\n" not in str(raised.value)


def test_dates_may_stand_without_quotes(tmp_path: Path) -> None:
    text = to_yaml(EVERY_KIND).replace("'2026-01-01T00:00:00'", "2026-01-01")
    (tmp_path / "c.yaml").write_text(text)
    assert read_contract(str(tmp_path / "c.yaml")) == EVERY_KIND


def test_rows_that_are_left_out_take_all_that_is_said_of_them_along() -> None:
    numbers = np.arange(6)
    table = Table(
        torch.arange(6.0)[:, None],
        numbers,
        files=(File("a.csv", 4, ""), File("b.csv", 2, "")),
        weights=numbers.astype(np.float32),
        tasks=numbers,
        identity={"who": numbers},
        times=numbers,
    )
    left = without_rows(table, numbers % 3 == 1)
    for found in (left.inputs[:, 0], left.weights, left.tasks, left.times, left.targets):
        assert found is not None
        assert found.tolist() == [0, 2, 3, 5]
    assert left.identity is not None
    assert left.identity["who"].tolist() == [0, 2, 3, 5]
    assert [place_of(left, row) for row in range(4)] == [
        ("a.csv", 0),
        ("a.csv", 2),
        ("a.csv", 3),
        ("b.csv", 1),
    ]
    # A mark that a later release adds is taken along as well, or fails here
    rowless = {"columns", "files", "target", "target_kind", "notes", "where", "target_names"}
    rowless |= {"skipped", "kept", "held_by"}
    said = {"inputs", "targets", "weights", "tasks", "identity", "times"}
    assert set(Table._fields) == rowless | said


def test_rules_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"contract.ranges=fx: expected .*did you mean 'fix'"):
        rules_of(ranges="fx")
    with pytest.raises(ConfigError, match=r"contract.types=fix: expected fail, warn, off"):
        rules_of(types="fix")
    with pytest.raises(ConfigError, match=r"contract.slack.ranges=-1"):
        Rules.of({"slack": {**SLACK, "ranges": -1}, "most_categories": 1})
