"""Later data are held against what the state knows of its inputs: by name, kind, and shape."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from renate.data.base import Data, Known
from renate.data.inputs import Column, Inputs
from renate.data.torch_dataset import TorchDataset
from renate.errors import ConfigError, DataError
from tests.data.scenes import SHARED, files, png, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


WEEK = {"a": [1.0, 2.0, 3.0, 4.0], "b": [5.0, 6.0, 7.0, 8.0], "label": [0, 1, 0, 1]}
REORDERED = {"label": [0, 1, 0, 1], "b": [5.0, 6.0, 7.0, 8.0], "a": [1.0, 2.0, 3.0, 4.0]}


def known(data: Data) -> Known:
    """What a version keeps, by way of its JSON."""
    assert data.inputs is not None
    assert data.split is not None
    inputs = Inputs.from_json(json.loads(json.dumps(data.inputs.to_json())))
    split = type(data.split).from_json(json.loads(json.dumps(data.split.to_json())))
    return Known(data.labels, inputs, split)


def first(path: str, **changes: Any) -> Known:
    return known(files(path, **changes).load(None, seed=0))


def test_names_decide_not_positions() -> None:
    write("1.csv", pa_table(WEEK))
    write("2.csv", pa_table(REORDERED))
    before = first("1.csv")
    expected = torch.tensor([WEEK["a"], WEEK["b"]]).T
    for train, test in (("2.csv", "1.csv"), ("1.csv", "2.csv"), ("[12].csv", "2.csv")):
        for state in (None, before):
            labels = state.labels if state else None
            data = files(train, test=test).load(labels, seed=0, known=state)
            assert torch.equal(data.train["inputs"][:4].sort(0).values, data.train["inputs"][:4])
            if state is not None or train != "2.csv":
                assert torch.equal(data.train["inputs"][-4:], expected)
                assert torch.equal(data.test["test"]["inputs"], expected)


def pa_table(content: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table(content)


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"a": WEEK["a"], "label": WEEK["label"]}, "w.parquet: no column 'b', which is an input of the model"),
    "surplus": (WEEK | {"c": WEEK["a"]}, "w.parquet: column 'c' is no input of the model: data.inputs=[a,b] leaves"),
    "renamed": (
        {"a": WEEK["a"], "b_new": WEEK["b"], "label": WEEK["label"]},
        "w.parquet: no column 'b', which is an input of the model",
    ),
    "a little renamed": (
        {"a": WEEK["a"], "B": WEEK["b"], "label": WEEK["label"]},
        "w.parquet: no column 'b', which is an input of the model",
    ),
    "text": (WEEK | {"b": ["x", "y", "x", "y"]}, "w.parquet: column 'b' is string (text: 'x' in row 1), expected"),
    "truth values": (
        WEEK | {"b": [True, False, True, False]},
        "w.parquet: column 'b' holds booleans, the model knows it as numbers",
    ),
    "labels as text": (WEEK | {"label": list("abab")}, "w.parquet: column 'label' holds text, the state's labels are"),
}


@pytest.mark.parametrize("change", CHANGED)
@pytest.mark.parametrize("part", ["train", "test"])
def test_other_columns_are_told_before_anything_is_trained(part: str, change: str) -> None:
    state = first(write("1.parquet", WEEK))
    table, text = CHANGED[change]
    write("w.parquet", table)
    source = files("w.parquet", test="1.parquet") if part == "train" else files("1.parquet", test="w.parquet")
    with pytest.raises(DataError) as caught:
        source.load(state.labels, seed=0, known=state)
    assert text in str(caught.value)


def test_whole_numbers_this_week_are_the_same_kind() -> None:
    state = first(write("1.parquet", WEEK))
    write("w.csv", pa_table(WEEK | {"b": [1, 2, 3, 4]}))
    data = files("w.csv").load(state.labels, seed=0, known=state)
    assert data.inputs is not None
    assert [(column.low, column.high) for column in data.inputs.columns] == [(1.0, 4.0), (1.0, 8.0)], "of all weeks"


def test_other_inputs_or_another_target_than_the_states() -> None:
    state = first(write("1.parquet", WEEK))
    with pytest.raises(ConfigError, match=r"data.inputs=\['a'\]: the state's model predicts from a, b"):
        files("1.parquet", inputs=["a"]).load(state.labels, seed=0, known=state)
    write("w.parquet", WEEK | {"other": WEEK["label"]})
    with pytest.raises(ConfigError, match="data.target=other: the state's model predicts 'label'"):
        files("w.parquet", target="other", inputs=["a", "b"]).load(state.labels, seed=0, known=state)


def test_values_in_other_units_are_mentioned() -> None:
    state = first(write("1.parquet", WEEK))
    write("w.parquet", WEEK | {"b": [5000.0, 6000.0, 7000.0, 8000.0]})
    data = files("w.parquet").load(state.labels, seed=0, known=state)
    assert data.notes[:1] == ["column 'b' runs from 5000 to 8000, the state's from 5 to 8: in other units?"]


INDEXED = {
    "unnamed": lambda frame: frame.to_csv("i.csv"),
    "of parquet": lambda frame: frame.iloc[[3, 0, 2, 1]].to_parquet("i.parquet"),
    "named": lambda frame: frame.set_index(pd.Index([5, 9, 7, 8], name="customer")).to_parquet("i.parquet"),
    "written twice": lambda frame: frame.rename_axis("Unnamed: 0").to_csv("i.csv"),
}


@pytest.mark.parametrize("how", INDEXED)
def test_what_a_writer_calls_an_index_is_no_input(how: str) -> None:
    INDEXED[how](pd.DataFrame(WEEK))
    data = files("i.*", test=write("t.parquet", WEEK)).load(None, seed=0)
    assert data.inputs is not None
    assert data.inputs.names == ["a", "b"]
    assert any("is an index, so it is no input" in note for note in data.notes)


def test_columns_may_be_called_by_numbers() -> None:
    frame = pd.DataFrame(np.arange(8.0).reshape(4, 2))
    frame[3] = [0, 1, 0, 1]
    frame.to_csv("n.csv", index=False)
    data = files("n.csv", target=3, inputs=[0, 1]).load(None, seed=0)
    assert data.inputs is not None
    assert (data.inputs.names, data.inputs.target) == (["0", "1"], "3")


GREY, COLOUR = (np.full(shape, 7, np.uint8) for shape in ((4, 4), (4, 4, 3)))
PICTURES = {
    "grey": {"image": [png(GREY)] * 4, "label": [0, 1, 0, 1]},
    "colour": {"image": [png(COLOUR)] * 4, "label": [0, 1, 0, 1]},
    "large": {"image": [png(np.zeros((5, 4, 3), np.uint8))] * 4, "label": [0, 1, 0, 1]},
}


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        ("colour", "grey", "column 'image': an example is a grey image of 4×4 pixels, the model was made for an image"),
        ("grey", "colour", "column 'image': row 1 is in colour, those that the model knows are grey"),
        ("colour", "large", "column 'image': an example is an image in colour of 5×4 pixels, the model was made for"),
    ],
)
def test_images_of_another_size_or_colour(then: str, now: str, text: str) -> None:
    for name in (then, now):
        write(f"{name}.parquet", PICTURES[name])
    state = first(f"{then}.parquet")
    with pytest.raises(DataError) as caught:
        files(f"{now}.parquet").load(state.labels, seed=0, known=state)
    assert text in str(caught.value)


def test_test_images_are_seen_as_the_training_images_are() -> None:
    write("mixed.parquet", {"image": [png(GREY), png(COLOUR)], "label": [0, 1]})
    write("grey.parquet", {"image": [png(GREY)] * 2, "label": [0, 1]})
    data = files("mixed.parquet", test="grey.parquet").load(None, seed=0)
    assert data.test["test"]["inputs"].shape == (2, 3, 4, 4)
    with pytest.raises(DataError, match="row 2 is in colour, those that the model knows are grey"):
        files("grey.parquet", test="mixed.parquet").load(None, seed=0)


def test_items_of_another_shape_than_the_states() -> None:
    items: Any = [(torch.zeros(3) + i, i % 2) for i in range(8)]
    state = known(TorchDataset(train=items, test=items, test_size=0.0, **SHARED).load(None, seed=0))
    wider: Any = [(torch.zeros(4), i % 2) for i in range(8)]
    match = r"data.train: an example is float32 \[4\], the model was made for float32 \[3\]"
    with pytest.raises(DataError, match=match):
        TorchDataset(train=wider, test=wider, test_size=0.0, **SHARED).load([0, 1], seed=0, known=state)


ODD: list[Any] = [
    None,
    [],
    {},
    {"dtype": "float32"},
    Inputs("float32", (1,), (Column("a", "number"),)).to_json() | {"more": 1},
    Inputs("float32", (1,)).to_json() | {"shape": [True]},
    Inputs("float32", (1,)).to_json() | {"shape": [-1]},
    Inputs("float32", (1,)).to_json() | {"shape": [[1]]},
    Inputs("float32", (1,)).to_json() | {"dtype": "object"},
    Inputs("float32", (1,)).to_json() | {"target": "\x1b[2J"},
    Inputs("float32", (1,)).to_json() | {"columns": [{"name": "a", "kind": "code", "low": None, "high": None}]},
    Inputs("float32", (1,)).to_json() | {"columns": [{"name": {}, "kind": "number", "low": None, "high": None}]},
    Inputs("float32", (2,)).to_json() | {"columns": [{"name": "a", "kind": "number", "low": None, "high": None}] * 2},
    Inputs("float32", (1,)).to_json()
    | {"columns": [{"name": "a", "kind": "number", "low": float("nan"), "high": None}]},
]


@pytest.mark.parametrize("found", ODD, ids=range(len(ODD)))
def test_a_strangers_inputs_are_refused(found: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Inputs.from_json(found)
