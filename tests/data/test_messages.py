"""What data can't be right, told in one line that names file and column."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pytest
import torch
from torch.utils.data import Dataset

from renate.data.tables.matching import match_columns
from renate.data.torch_dataset import TorchDataset
from renate.errors import ConfigError, DataError
from tests.data.scenes import SHARED, TABLE, files, load, png, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


ODD = [png(np.zeros((4, 4), np.uint8)), png(np.zeros((5, 4), np.uint8))]


class Unsized(Dataset[Any]):
    """Of torch's own base, which has no length either."""

    def __getitem__(self, row: int) -> Any:
        return torch.zeros(2), row % 2


ITEMS: dict[str, Any] = {
    "shapes": [(torch.zeros(2), 0), (torch.zeros(3), 1)],
    "items": [torch.zeros(2)],
    "complex": [(torch.zeros(2), 0.5j), (torch.zeros(2), 1.5j)],
    "several": [(torch.zeros(2), torch.zeros(3, 2))],
    "mixed": [(torch.zeros(2), 1), (torch.zeros(2), "a")],
    "dict": [({"text": "a"}, 1)],
    "endless": iter([]),
    "unsized": Unsized(),
    "none": [],
}


def broken(path: str, content: bytes) -> Callable[[], Any]:
    def make() -> Any:
        Path(path).write_bytes(content)
        return load(files(path))

    return make


def tabled(table: dict[str, Any] | pa.Table, **changes: Any) -> Callable[[], Any]:
    return lambda: load(files(write("a.parquet", table), **changes))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: load(files("nix/*.parquet")),
            "data.train=nix/*.parquet: no such file, and no file matches",
        ),
        (
            tabled(TABLE, target="labl"),
            "a.parquet: no column 'labl', did you mean 'label'? (x, flag, label)",
        ),
        (tabled(TABLE, inputs=["y"]), "a.parquet: no column 'y'"),
        (tabled({"label": [1, 2]}), "a.parquet: no column but 'label', nothing to predict from"),
        (
            tabled({"x": [1.0, None], "label": [1, 2]}, missing="error"),
            "column 'x' has 1 empty values",
        ),
        (tabled({"x": [1.0, 2.0], "label": [1, None]}), "column 'label' has 1 empty values"),
        (
            broken("a.csv", b"x,label\n1,cat\n2,\n"),
            "a.csv: column 'label' has 1 empty values: drop those rows",
        ),
        (
            tabled({"x": [1.0, 1e300], "label": [1, 2]}),
            "row 1 (the first is 0), column 'x' is infinite, or",
        ),
        (
            tabled({"x": [1.0, float("nan")], "label": [1, 2]}, missing="error"),
            "row 1 (the first is 0), column 'x' is NaN: clean",
        ),
        (
            tabled({"x": [{"a": 1}, {"a": 2}], "label": [1, 2]}),
            "column 'x' is struct<a: int64>, expected numbers or images",
        ),
        (
            tabled({"x": [1, 2], "label": [{"a": 1}, {"a": 2}]}),
            "column 'label' is struct<a: int64>, a target is a number, a boolean, text or a list",
        ),
        (
            tabled({"x": [1, 2], "label": [1, 1]}),
            "data.train has one class only, 1: a first update needs two",
        ),
        (tabled(pa.table([[1], [2], [3]], names=["x", "x", "label"])), "column 'x' is there twice"),
        (
            tabled({"x": pa.array([], pa.float32()), "label": pa.array([], pa.int64())}),
            "data.train has no examples",
        ),
        (
            tabled({"image": ODD, "label": [0, 1]}),
            "row 1 is 5×4 pixels, the first image 4×4: data.image_size=[H,W]",
        ),
        (
            tabled({"image": [png(np.zeros((4, 4), np.float32), "TIFF")], "label": [0]}),
            "row 0 has 32 bits per pixel",
        ),
        (tabled({"image": [ODD[0], None], "label": [0, 1]}), "column 'image' has 1 empty values"),
        (
            tabled({"image": [{"bytes": b"no", "path": ""}], "label": [0]}),
            "row 0 is no image that Pillow can read",
        ),
        (
            tabled({"image": ODD, "x": [1, 2], "label": [0, 1]}),
            "column 'image' holds images: data.inputs=['image']",
        ),
        (tabled(TABLE, val_size=4), "data.val_size=4 leaves none of 4 examples to train on"),
        (
            tabled({"x": [1, 2], "label": [1, 2]}, val_size=0.1),
            "data.val_size: 2 examples are too few",
        ),
        (broken("a.csv", b"x,label\n1,2\n3\n"), "a.csv: not readable as csv"),
        (broken("a.csv", "x,label\nü,1\nö,2\n".encode("latin-1")), "a.csv: not readable as csv"),
        (
            broken("a.csv", "ü,label\n1,1\n2,2\n".encode("latin-1")),
            "a.csv: not readable as csv: 'utf-8' codec",
        ),
        (broken("a.csv", b""), "a.csv: not readable as csv: Empty CSV file"),
        (broken("a.json", b"[{]"), "a.json: not readable as json"),
        (broken("a.parquet", b"PAR1"), "a.parquet: not readable as parquet"),
        (broken("a.txt", b""), "a.txt: unknown suffix '.txt', expected one of .parquet, .csv"),
        (lambda: files(batch_size=0), "data.batch_size=0: expected 1 or more"),
        (
            lambda: files(val_size=1.5),
            "data.val_size=1.5: expected a fraction below 1, or a number",
        ),
        (lambda: files(limit=0), "data.limit=0: expected 1 or more"),
        (
            lambda: files(inputs="image"),
            "data.inputs=image: expected a list of columns, as [image]",
        ),
        (
            lambda: files(inputs=["x", "label"]),
            "data.inputs=['x', 'label'] holds data.target=label: take it out",
        ),
        (
            lambda: files(image_size=32),
            "data.image_size=32: expected [height, width], both 1 or more",
        ),
        (
            lambda: files(image_size=[0, 3]),
            "data.image_size=[0, 3]: expected [height, width], both 1 or more",
        ),
        (tabled(TABLE, test={}), "data.test names nothing to measure on"),
        (
            lambda: files(test=None, test_size=2),
            "data.test_size=2: expected a fraction between 0 and 1",
        ),
        *[
            (
                lambda name=name: load(
                    TorchDataset(train=ITEMS[name], test=ITEMS[name], test_size=0, **SHARED)
                ),
                text,
            )
            for name, text in [
                (
                    "shapes",
                    "item 1 is torch.float32 [3], item 0 is torch.float32 [2]: all must be alike",
                ),
                ("several", "data.train: item 0: its target has shape [3, 2], expected one label"),
                ("mixed", "data.train: some targets are text, some integers: use one kind"),
                (
                    "dict",
                    "data.train: item 0: input 'text': its input is str, expected a tensor, an array, "
                    "numbers or an image",
                ),
                (
                    "unsized",
                    "data.train: Unsized has no length, expected a data set with len() and "
                    "items[row]",
                ),
                (
                    "endless",
                    "data.train: list_iterator has no length, expected a data set with len()",
                ),
                ("items", "data.train: item 0 is Tensor, expected (input, target)"),
                ("complex", "target 0.5j is complex, expected a number, text"),
                ("none", "data.train has no examples"),
            ]
        ],
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_messages(make: Callable[[], Any], text: str) -> None:
    with pytest.raises((DataError, ConfigError)) as caught:
        make()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_differ() -> None:
    write("b/1.parquet", {"x": [1], "label": [0]})
    write("b/2.parquet", {"y": [1], "label": [1]})
    with pytest.raises(
        DataError, match="b/2.parquet: no column 'x', which b/1.parquet has, did you mean 'y'"
    ):
        load(files("b/*.parquet"))
    write("b/2.parquet", {"x": ["one"], "label": [1]})
    with pytest.raises(
        DataError, match="b/2.parquet: column 'x' is text, in b/1.parquet it is number"
    ):
        load(files("b/*.parquet"))


@pytest.mark.parametrize("column", ["x", "label"])
def test_empty_values_are_told_by_their_file(column: str) -> None:
    write("b/1.parquet", {"x": [1, 2], "label": [0, 1]})
    write("b/2.parquet", {"x": [1, 2], "label": [0, 1]} | {column: [1, None]})
    with pytest.raises(DataError, match=f"^b/2.parquet: column '{column}' has 1 empty values"):
        load(files("b/*.parquet", missing="error"))


def test_a_bad_image_is_told_by_its_file_and_its_row_there() -> None:
    write("b/1.parquet", {"image": [ODD[0]] * 2, "label": [0, 1]})
    write("b/2.parquet", {"image": ODD, "label": [0, 1]})
    with pytest.raises(DataError, match="^b/2.parquet: column 'image': row 1 is 5×4 pixels"):
        load(files("b/*.parquet"))


def test_test_inputs_of_another_kind() -> None:
    train: Any = [(torch.zeros(2, dtype=torch.uint8), i) for i in range(2)]
    test: Any = [(torch.zeros(2), i) for i in range(2)]
    with pytest.raises(
        DataError, match=r"data.test: inputs are float32 \[2\], those of data.train uint8 \[2\]"
    ):
        load(TorchDataset(train=train, test=test, test_size=0, **SHARED))


def test_labels_that_only_the_test_has_and_other_kinds() -> None:
    write("a.parquet", {"x": [1, 2], "label": [0, 1]})
    write("b.parquet", {"x": [1, 2], "label": [0, 5]})
    with pytest.raises(
        DataError, match=r"b.parquet: column 'label': labels \[5\] are in neither data.train nor"
    ):
        load(files("a.parquet", test="b.parquet"))
    with pytest.raises(DataError, match="its labels are like 0, the state's like 'cat'"):
        load(files("a.parquet"), labels=["cat", "dog"])


def test_a_column_of_another_name_is_named_however_unlike() -> None:
    wanted = {"age": "number", "income": "number"}
    here = {"years": "number", "income": "number"}
    with pytest.raises(
        DataError, match="no column 'age', which the state has, did you mean 'years'"
    ):
        match_columns("b.csv", here, wanted, origin="the state", surplus=False)
    with pytest.raises(DataError, match=r"which the state has \(its columns: years, money\)"):
        match_columns(
            "b.csv",
            {"years": "number", "money": "number"},
            wanted,
            origin="the state",
            surplus=False,
        )
