"""`load_model(url).predict(raw)`: raw rows in every shape that people hold them in."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

import renate
from renate.data.kept.inputs import Column, Inputs
from renate.errors import ConfigError, DataError
from renate.jobs.predicting.feed import Feed
from renate.jobs.predicting.predictor import Predictor
from tests.command import renate as command
from tests.conftest import write_table


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Trained once on two columns of numbers, `x` and `y`."""
    folder = tmp_path_factory.mktemp("predictor")
    write_table(folder / "train.parquet", seed=1)
    before = Path.cwd()
    os.chdir(folder)
    try:
        asked = ["data=files", "data.train=train.parquet", "data.target=label"]
        renate.run([*asked, "trainer.max_epochs=2", "state.url=s", "state.first=true"])
    finally:
        os.chdir(before)
    return renate.load_model(str(folder / "s"))


X = [0.9, -0.5, -0.4, 0.3]
Y = [0.1, 0.8, -0.9, 0.2]
TENSOR = torch.tensor([X, Y]).T.contiguous()

SEVERAL = {
    "pandas": lambda: pd.DataFrame({"y": Y, "x": X, "more": "text"}),
    "arrow": lambda: pa.table({"y": Y, "x": X}),
    "batch": lambda: pa.record_batch({"y": Y, "x": X}),
    "columns": lambda: {"y": Y, "x": np.array(X), "more": [None] * 4},
    "series": lambda: {"y": pd.Series(Y), "x": torch.tensor(X, dtype=torch.float64)},
    "rows": lambda: [{"y": y, "x": x} for x, y in zip(X, Y, strict=True)],
    "array": lambda: np.array([X, Y]).T,
    "tensor": lambda: TENSOR,
    "list of arrays": lambda: [np.array(pair, np.float32) for pair in zip(X, Y, strict=True)],
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_every_kind_of_rows_gives_the_same_answers(model: Predictor, kind: str) -> None:
    with torch.inference_mode():
        logits = model(TENSOR)
    expected = [model.labels[index] for index in logits.argmax(1).tolist()]
    assert model.predict(SEVERAL[kind]()) == expected
    assert model.outputs(SEVERAL[kind](), batch_size=4).equal(logits)


def test_one_row_has_one_answer(model: Predictor) -> None:
    (expected,) = model.predict(TENSOR[:1])
    for row in ({"x": X[0], "y": Y[0]}, TENSOR[0], TENSOR[0].numpy()):
        assert model.predict(row) == expected
    with_it = model.predict({"x": X[0], "y": Y[0]}, probabilities=True)
    assert with_it["prediction"] == expected
    assert sum(with_it["probabilities"].values()) == pytest.approx(1.0)
    assert with_it["probability"] == with_it["probabilities"][expected]


def test_batches_are_of_the_size_that_is_asked_for(model: Predictor) -> None:
    sizes: list[int] = []
    handle = model.model.register_forward_pre_hook(
        lambda module, given: sizes.append(len(given[0]))
    )
    try:
        model.predict(SEVERAL["rows"](), batch_size=3)
    finally:
        handle.remove()
    assert sizes == [3, 1]


def test_no_rows_have_no_answers(model: Predictor) -> None:
    assert model.predict(pd.DataFrame({"x": [], "y": []}, dtype=float)) == []


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"x": X}, "no column 'y', which the state has"),
        (pd.DataFrame({"x": X, "yy": Y}), "no column 'y', which the state has, did you mean 'yy'"),
        ({"x": X, "y": Y[:2]}, "unequally many rows: {'x': 4, 'y': 2}"),
        ({"x": X, "y": ["a", "b", "c", "d"]}, "column 'y' is text, in the state it is number"),
        ({"x": X, "y": [1.0, None, 2.0, 3.0]}, "column 'y' has 1 empty value"),
        ({"x": X, "y": [1.0, np.inf, 2.0, 3.0]}, r"row 1 \(the first is 0\), column 'y' is inf"),
        ({"x": [1, "a"], "y": [1, 2]}, "column 'x': "),
        ([{"x": 1.0, "y": 2.0}, {"x": 1.0}], "row 1 .the first is 0.: no column 'y'"),
        ([{"x": 1.0, "y": 2.0}, {"x": 1.0, "y": 2.0, "z": 1}], "row 1 .* other names .* 'z'"),
        ([{"x": 1.0, "y": 2.0}, 5], "row 1 .* is int, expected name -> value"),
        (torch.zeros(2, 3), r"inputs are float32 \[3\], those of the state float32 \[2\]"),
        (torch.zeros(2, 2, dtype=torch.complex64), "inputs are torch.complex64"),
        (np.full((2, 2), np.nan), "of item 0 .* hold NaN"),
        ("text", "inputs are list|a list"),
    ],
)
def test_what_it_was_not_trained_on_is_one_line(model: Predictor, raw: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        model.predict(raw)
    assert "\n" not in str(raised.value)


def test_a_batch_has_a_row_at_least(model: Predictor) -> None:
    with pytest.raises(ConfigError, match="batch_size=0: expected 1 or more"):
        model.predict(TENSOR, batch_size=0)


def test_it_says_what_a_raw_row_is(model: Predictor) -> None:
    assert [column.name for column in model.input.columns] == ["x", "y"]
    (x, _) = model.input.columns
    assert (x.kind, x.dtype, x.shape) == ("number", "float32", ())
    assert x.low is not None
    assert x.high is not None
    assert -1.5 < x.low < 0 < x.high < 1.5
    first = f"x number float32 {x.low:g} to {x.high:g}"
    assert str(model.input).splitlines()[0] == first


def test_state_show_says_the_same(model: Predictor, tmp_path_factory: Any) -> None:
    folder = next(tmp_path_factory.getbasetemp().glob("predictor*"))
    said = command("state", "show", "s", cwd=folder).stdout
    for line in model.input.lines():
        assert f"input      {line}" in said


def images(shape: tuple[int, ...], size: list[int] | None = None) -> Feed:
    return Feed(Inputs((Column("image", "image"),), "uint8", shape), None, size)


def test_images_of_pillow_become_pixels_as_training_has_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    image = Image.fromarray(pixels)
    stored = images((3, 5, 4)).encoded([image, image])
    assert isinstance(stored, torch.Tensor)
    assert stored.shape == (2, 3, 5, 4)
    assert stored[1].numpy().transpose(1, 2, 0).tolist() == pixels.tolist()
    assert images((3, 5, 4)).is_single(image)
    grey = images((3, 5, 4)).encoded([Image.fromarray(pixels[:, :, 0])])
    assert isinstance(grey, torch.Tensor)
    assert grey[0, 0].equal(grey[0, 2])


def test_images_of_another_size_are_resized_where_the_state_did() -> None:
    image = Image.new("RGB", (9, 7))
    with pytest.raises(DataError, match="row 0 .* is 7×9 pixels"):
        images((3, 5, 4)).encoded([image])
    stored = images((3, 5, 4), [5, 4]).encoded([image])
    assert isinstance(stored, torch.Tensor)
    assert stored.shape == (1, 3, 5, 4)


def test_images_that_do_not_fit_are_told() -> None:
    with pytest.raises(DataError, match="row 0 .* is in colour, the images of the state are grey"):
        images((1, 5, 4)).encoded([Image.new("RGB", (4, 5), (255, 0, 0))])
    with pytest.raises(DataError, match="inputs are float32"):
        images((1, 5, 4)).encoded(torch.zeros(2, 1, 5, 4))
