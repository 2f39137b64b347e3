"""Names, kinds, shapes and ranges of a state's inputs: later data is held against them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from renate.data.base import Known
from renate.data.kept.inputs import Inputs
from renate.data.torch_dataset import TorchDataset
from renate.errors import ConfigError, DataError
from tests.data.scenes import SHARED, as_kept, files, png, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def week(**changes: Any) -> dict[str, Any]:
    table = {
        "a": [0.5, 1.5, 2.5, 3.5],
        "b": [10, 20, 30, 40],
        "f": [True, False] * 2,
        "label": [0, 1] * 2,
    }
    return {name: values for name, values in (table | changes).items() if values is not None}


def known(source: Any) -> Known:
    return as_kept(source.load(seed=0))


def test_names_decide_within_an_update() -> None:
    write("train.parquet", week())
    write("test.parquet", dict(reversed(week().items())))
    write("more.csv", dict(reversed(week().items())))
    data = files(
        ["train.parquet", "more.csv"], test={"one": "test.parquet", "two": "more.csv"}
    ).load(seed=0)
    expected = [[0.5, 10, 1], [1.5, 20, 0], [2.5, 30, 1], [3.5, 40, 0]]
    assert data.test["one"]["inputs"].tolist() == expected
    assert data.test["two"]["inputs"].tolist() == expected
    assert data.train["inputs"].tolist() == expected * 2


def test_names_decide_between_updates() -> None:
    write("a.parquet", week())
    state = known(files())
    assert state.inputs is not None
    assert state.inputs.names == ["a", "b", "f"]
    assert [(c.low, c.high) for c in state.inputs.columns] == [(0.5, 3.5), (10, 40), (0, 1)]
    write("b.csv", dict(reversed(week(a=[1.0, 2.0, 3.0, 50.0]).items())))
    data = files("b.csv").load(seed=0, known=state)
    assert data.train["inputs"].tolist() == [[1, 10, 1], [2, 20, 0], [3, 30, 1], [50, 40, 0]]
    assert data.inputs is not None
    assert data.inputs.names == ["a", "b", "f"]
    assert (data.inputs.columns[0].low, data.inputs.columns[0].high) == (0.5, 50)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"b": None}, "b.parquet: no column 'b', which the state has"),
        ({"c": [1, 2, 3, 4]}, "b.parquet: column 'c' is none of the state's inputs: take it out"),
        ({"b": None, "b2": [1, 2, 3, 4]}, "b.parquet: no column 'b', which the state has"),
        ({"b": ["1", "2", "3", "x"]}, "b.parquet: column 'b' is text, in the state it is number"),
        ({"b": [True] * 4}, "b.parquet: column 'b' is boolean, in the state it is number"),
        ({"f": [1, 0, 1, 0]}, "b.parquet: column 'f' is number, in the state it is boolean"),
        (
            {"label": [True, False] * 2},
            "data.train: the target is boolean, that of the state integer",
        ),
    ],
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_columns_that_are_not_the_states(changes: dict[str, Any], text: str, part: str) -> None:
    write("a.parquet", week())
    write("b.parquet", week(**changes))
    state = known(files())
    train, test = ("b.parquet", "a.parquet") if part == "train" else ("a.parquet", "b.parquet")
    if part == "test":
        text = text.replace("data.train:", "data.test:").replace(
            "that of the state", "that of data.train"
        )
    with pytest.raises(DataError) as caught:
        files(train, test=test).load(seed=0, known=state)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_renamed_column_is_recognised() -> None:
    write("a.parquet", {"price": [1, 2, 3, 4], "label": [0, 1] * 2})
    state = known(files())
    write("a.parquet", {"Price": [1, 2, 3, 4], "label": [0, 1] * 2})
    with pytest.raises(
        DataError, match="no column 'price', which the state has, did you mean 'Price'"
    ):
        files().load(seed=0, known=state)


def test_what_the_config_says_is_held_against_the_state() -> None:
    write("a.parquet", week(other=[0, 1] * 2))
    state = known(files(inputs=["a", "b"]))
    with pytest.raises(ConfigError, match="data.target=other: the state's target is 'label'"):
        files(target="other").load(seed=0, known=state)
    with pytest.raises(
        ConfigError, match="data.inputs: 'f' is in only one of it and the state's inputs, a, b"
    ):
        files(inputs=["a", "b", "f"]).load(seed=0, known=state)
    swapped = files(inputs=["b", "a"]).load(seed=0, known=state)
    assert swapped.train["inputs"][0].tolist() == [0.5, 10]


def test_whole_numbers_are_numbers() -> None:
    write("a.csv", {"a": [0.5, 1.5], "label": [0, 1]})
    state = known(files("a.csv"))
    write("b.csv", {"a": [1, 2], "label": [0, 1]})
    assert files("b.csv").load(seed=0, known=state).train["inputs"].tolist() == [[1], [2]]


def test_another_scale_is_said() -> None:
    write("a.parquet", {"p": [0.0, 0.5, 0.9, 1.0], "label": [0, 1] * 2})
    state = known(files())
    write("a.parquet", {"p": [0, 100, 200, 255], "label": [0, 1] * 2})
    notes = files().load(seed=0, known=state).notes
    assert any(
        "data.train: column 'p' is 0 to 255, in training so far 0 to 1" in line for line in notes
    )


GREY = [png(np.full((4, 4), i, np.uint8)) for i in range(4)]
COLOUR = [png(np.full((4, 4, 3), i, np.uint8)) for i in range(4)]
LARGE = [png(np.full((5, 4, 3), i, np.uint8)) for i in range(4)]


def images(pixels: list[Any]) -> dict[str, Any]:
    return {"image": pixels, "label": [0, 1] * 2}


def test_images_of_another_size_or_channels() -> None:
    write("colour.parquet", images(COLOUR))
    write("grey.parquet", images(GREY))
    write("large.parquet", images(LARGE))
    state = known(files("colour.parquet"))
    with pytest.raises(
        DataError, match="grey.parquet: column 'image' is grey, .* the state are in colour"
    ):
        files("grey.parquet").load(seed=0, known=state)
    with pytest.raises(
        DataError, match=r"column 'image' is 5×4 pixels, .* 4×4: data.image_size=\[4,4\]"
    ):
        files("large.parquet").load(seed=0, known=state)
    with pytest.raises(
        DataError, match="colour.parquet: column 'image' is in colour, .* data.train are grey"
    ):
        files("grey.parquet", test="colour.parquet").load(seed=0)

    data = files("colour.parquet", test="grey.parquet").load(seed=0)
    assert torch.equal(data.test["test"]["inputs"], data.train["inputs"])
    assert any("is grey, data.train has colour: read as colour" in line for line in data.notes)


def test_items_of_a_data_set() -> None:
    items: Any = [(torch.full((3, 4, 4), float(i)), i % 2) for i in range(4)]
    other: Any = [(item[:1], label) for item, label in items]
    state = known(TorchDataset(train=items, test=items, test_size=0, **SHARED))
    with pytest.raises(
        DataError, match=r"inputs are float32 \[1, 4, 4\], those of the state float32 \[3, 4, 4\]"
    ):
        TorchDataset(train=other, test=other, test_size=0, **SHARED).load(seed=0, known=state)


def test_a_value_that_is_no_number_is_told_by_file_row_and_column() -> None:
    write("b/1.parquet", week())
    write("b/2.parquet", week(a=[1.0, 2.0, float("inf"), 3.0]))
    with pytest.raises(
        DataError, match=r"^b/2.parquet: row 2 \(the first is 0\), column 'a' is infinite"
    ):
        files("b/*.parquet").load(seed=0)
    with pytest.raises(
        DataError, match=r"^b/2.parquet: row 2 \(the first is 0\), column 'a' is infinite"
    ):
        files("b/1.parquet", test="b/2.parquet").load(seed=0)
    items: Any = [
        (torch.tensor([[1.0, 2.0], [1.0, float("nan") if i == 3 else 0.0]]), i % 2)
        for i in range(4)
    ]
    with pytest.raises(
        DataError, match=r"^data.train: item 3 \(the first is 0\): its input at \[1, 1\] is NaN"
    ):
        TorchDataset(train=items, test=items, test_size=0, **SHARED).load(seed=0)


@pytest.mark.parametrize("kind", ["unnamed parquet", "named parquet", "csv", "csv read again"])
def test_a_writers_index_is_no_input(kind: str) -> None:
    table: dict[str, Any] = {"x": [0.5, 1.5], "label": [0, 1]}
    if kind.endswith("parquet"):
        name = "__index_level_0__" if kind.startswith("unnamed") else "row"
        pandas = json.dumps({"index_columns": [name], "columns": []})
        made = pa.table({**table, name: [7, 8]}).replace_schema_metadata({"pandas": pandas})
        path = write("a.parquet", made)
    else:
        name = "" if kind == "csv" else "Unnamed: 0"
        path = write("a.csv", {name: [7, 8], **table})
    data = files(path).load(seed=0)
    assert data.train["inputs"].tolist() == [[0.5], [1.5]]
    assert any(f"column '{name}' is its writer's index, no input" in line for line in data.notes)
    later = files(path).load(seed=0, known=known(files(path)))
    assert later.train["inputs"].tolist() == [[0.5], [1.5]]


def test_a_range_as_index_and_its_metadata_say_nothing() -> None:
    pandas = json.dumps({"index_columns": [{"kind": "range", "start": 0}]})
    write(
        "a.parquet",
        pa.table({"x": [1, 2], "label": [0, 1]}).replace_schema_metadata({"pandas": pandas}),
    )
    assert not any("index" in line for line in files().load(seed=0).notes)


def test_columns_may_be_named_by_numbers() -> None:
    write("a.csv", {"0": [0.5, 1.5], "1": [1.0, 2.0], "3": [0, 1]})
    wanted: Any = 3
    assert files("a.csv", target=wanted, inputs=[1, 0]).load(seed=0).train["inputs"].tolist() == [
        [1, 0.5],
        [2, 1.5],
    ]


def test_a_name_that_can_not_be_kept() -> None:
    write("a.parquet", {"x\x1b[2J": [1, 2], "label": [0, 1]})
    with pytest.raises(
        DataError, match=r"column 'x\\x1b\[2J' has a name with control characters: rename it"
    ):
        files().load(seed=0)


def test_files_are_remembered_by_content() -> None:
    write("a.parquet", week())
    write("b.csv", week())
    found = files(["a.parquet", "b.csv"], test={"new": "a.parquet"}).load(seed=0).files
    assert [(file.name, file.rows) for file in found["train"]] == [("a.parquet", 4), ("b.csv", 4)]
    assert found["test new"][0].content == found["train"][0].content
    assert len(found["train"][0].content) == 64


GOOD: dict[str, Any] = {
    "columns": [["a", "number", 0.0, 1.0], ["b", "boolean", 0.0, 1.0]],
    "dtype": "float32",
    "shape": [2],
    "target": "label",
    "target_kind": "integer",
}


def test_kept_inputs_are_read_back() -> None:
    assert Inputs.from_json(GOOD).to_json() == GOOD


@pytest.mark.parametrize(
    "odd",
    [
        {"more": 1},
        {"columns": []},
        {"columns": "ab"},
        {"columns": [["a", "number", 0.0, 1.0]] * 2},
        {"columns": [["a\x1b[2J", "number", 0.0, 1.0], ["b", "number", 0.0, 1.0]]},
        {"columns": [["a" * 2000, "number", 0.0, 1.0], ["b", "number", 0.0, 1.0]]},
        {"columns": [["a", "code", 0.0, 1.0], ["b", "number", 0.0, 1.0]]},
        {"columns": [["a", "number", float("nan"), 1.0], ["b", "number", 0.0, 1.0]]},
        {"columns": [["a", "number", 2.0, 1.0], ["b", "number", 0.0, 1.0]]},
        {"columns": [["a", "image", 0.0, 1.0], ["b", "number", 0.0, 1.0]]},
        {"columns": [["a", "number", True, 1.0], ["b", "number", 0.0, 1.0]]},
        {"columns": [["a", "number"]]},
        {"columns": [["a", "number", 0.0, 1.0]]},
        {"dtype": "os.system"},
        {"dtype": 1},
        {"shape": [-1]},
        {"shape": [True, 2]},
        {"shape": "2"},
        {"target": 3},
        {"target": "a\nb"},
        {"target_kind": "code"},
    ],
    ids=str,
)
def test_odd_inputs_are_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="^inputs: "):
        Inputs.from_json(GOOD | odd)
