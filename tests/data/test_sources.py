"""Every source: known rows, dtypes, labels and counts; splitting; and the messages for what can't be right."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from renate.data.base import Data
from renate.data.batch import Batches, BatchTransform, length
from renate.data.digits import Digits
from renate.data.files import Files
from renate.data.torch_dataset import TorchDataset
from renate.errors import ConfigError, DataError

TABLE = {"x": [0.5, 1.5, -1.0, 2.0], "flag": [True, False, True, True], "label": [7, 3, 7, 3]}


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def files(train: Any = "a.parquet", **changes: Any) -> Files:
    plain: dict[str, Any] = {
        "train": train,
        "test": train,
        "test_size": 0.25,
        "target": "label",
        "inputs": None,
        "image_size": None,
        "cache_dir": "cache",
        "batch_size": 32,
        "val_size": 0,
        "limit": None,
    }
    return Files(**plain | changes)


def write(path: str, table: dict[str, Any] | pa.Table) -> str:
    made = pa.table(table) if isinstance(table, dict) else table
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if path.endswith(".parquet"):
        pq.write_table(made, path)
    elif path.endswith(".csv"):
        pyarrow.csv.write_csv(made, path)
    else:
        import json

        Path(path).write_text("\n".join(json.dumps(row) for row in made.to_pylist()))
    return path


def png(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return {"bytes": stream.getvalue(), "path": None}


def load(source: Any, labels: list[Any] | None = None, seed: int = 0) -> Data:
    data: Data = source.load(labels, seed=seed)
    return data


def test_digits() -> None:
    data = load(Digits(batch_size=32, val_size=0.1, limit=None))
    assert data.val is not None
    assert (length(data.train), length(data.val), length(data.test["test"])) == (1293, 144, 360)
    assert data.train["inputs"].dtype == torch.uint8
    assert data.input_shape == (1, 8, 8)
    assert data.labels == list(range(10))
    assert int(data.train["inputs"].max()) == 240
    other = load(Digits(batch_size=32, val_size=0.1, limit=None), seed=1)
    assert torch.equal(data.test["test"]["inputs"], other.test["test"]["inputs"]), "one test set for every seed"
    assert not torch.equal(data.train["inputs"], other.train["inputs"])


@pytest.mark.parametrize("path", ["a.parquet", "a.csv", "a.json", "a.jsonl"])
def test_tables(path: str) -> None:
    data = load(files(write(path, TABLE)))
    assert data.train["inputs"].tolist() == [[0.5, 1.0], [1.5, 0.0], [-1.0, 1.0], [2.0, 1.0]]
    assert data.train["inputs"].dtype == torch.float32
    assert data.labels == [3, 7]
    assert data.train["targets"].tolist() == [1, 0, 1, 0]
    assert data.train["targets"].dtype == torch.int64


def test_globs_lists_and_named_tests() -> None:
    for name in ("b/2.parquet", "b/1.parquet", "c.parquet"):
        write(name, TABLE)
    assert length(load(files("b/*.parquet")).train) == 8
    assert length(load(files(["b/*.parquet", "c.parquet"])).train) == 12
    data = load(files("c.parquet", test={"new": "b/1.parquet", "all": "b/*.parquet"}))
    assert {name: length(columns) for name, columns in data.test.items()} == {"new": 4, "all": 8}


def test_a_path_with_an_equals_sign_is_a_path() -> None:
    data = load(files(write("dt=2026-11-23/a.parquet", TABLE)))
    assert data.input_shape == (2,)


def test_test_size_splits_what_has_no_test() -> None:
    write("a.parquet", {"x": list(range(40)), "label": [0, 1] * 20})
    data, again = load(files(test=None)), load(files(test=None), seed=9)
    rows = [c["inputs"][:, 0].tolist() for c in (data.train, data.test["test"])]
    assert (len(rows[0]), len(rows[1])) == (30, 10)
    assert sorted(rows[0] + rows[1]) == list(range(40))
    assert again.test["test"]["inputs"][:, 0].tolist() == rows[1], "the same for every seed"


def test_labels_known_new_and_text() -> None:
    write("a.parquet", {"x": [1, 2, 3], "label": ["cat", "ant", "dog"]})
    assert load(files()).labels == ["ant", "cat", "dog"]
    data = load(files(), labels=["dog", "ant"])
    assert (data.labels, data.new_labels) == (["dog", "ant", "cat"], ["cat"])
    assert data.train["targets"].tolist() == [2, 1, 0]


def test_val_split_and_limit() -> None:
    write("a.parquet", {"x": list(range(100)), "label": [0, 1] * 50})
    data = load(files(val_size=0.2))
    assert data.val is not None
    rows = [set(c["inputs"][:, 0].tolist()) for c in (data.train, data.val)]
    assert (len(rows[0]), len(rows[1])) == (80, 20)
    assert not rows[0] & rows[1]
    counted = load(files(val_size=5, limit=20))
    assert counted.val is not None
    assert (length(counted.train), length(counted.val)) == (15, 5)
    assert load(files()).val is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_images(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    write("a.parquet", {"image": [png(p, kind) for p in pixels], "label": [0, 1, 0, 1]})
    for _ in range(2):  # decoded, then mapped from the cache
        data = load(files())
        assert data.train["inputs"].shape == (4, 3, 5, 6)
        assert data.train["inputs"].dtype == torch.uint8
        if kind == "PNG":
            assert torch.equal(data.train["inputs"], torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    assert len(list(Path("cache").glob("*.npy"))) == 1
    assert load(files(image_size=[3, 2])).input_shape == (3, 3, 2)


def test_grey_images_keep_one_channel() -> None:
    pixels = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
    write("a.parquet", {"image": [png(p) for p in pixels], "label": [0, 1]})
    assert torch.equal(load(files()).train["inputs"][:, 0], torch.from_numpy(pixels))


def test_one_image_in_colour_makes_all_have_three_channels() -> None:
    grey, colour = np.full((4, 4), 7, np.uint8), np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    write("a.parquet", {"image": [png(grey), png(colour)], "label": [0, 1]})
    inputs = load(files()).train["inputs"]
    assert torch.equal(inputs[0], torch.full((3, 4, 4), 7, dtype=torch.uint8))
    assert torch.equal(inputs[1], torch.from_numpy(colour.transpose(2, 0, 1).copy()))


def test_images_in_several_files_and_plain_binary() -> None:
    pixels = np.arange(4 * 16, dtype=np.uint8).reshape(4, 4, 4)
    for name, part in (("b/1.parquet", pixels[:2]), ("b/2.parquet", pixels[2:])):
        write(name, {"image": [png(p)["bytes"] for p in part], "label": [0, 1]})
    assert torch.equal(load(files("b/*.parquet")).train["inputs"][:, 0], torch.from_numpy(pixels))


def test_the_cache_follows_the_content_and_never_holds_a_part() -> None:
    grey = [np.full((4, 4), value, np.uint8) for value in (1, 2)]
    write("a.parquet", {"image": [png(grey[0]), png(grey[0])], "label": [0, 1]})
    assert int(load(files()).train["inputs"].max()) == 1
    write("a.parquet", {"image": [png(grey[1]), png(grey[1])], "label": [0, 1]})
    assert int(load(files()).train["inputs"].max()) == 2
    whole = set(Path("cache").iterdir())
    write("a.parquet", {"image": [png(grey[1]), {"bytes": b"no", "path": None}], "label": [0, 1]})
    with pytest.raises(DataError, match="row 1 is no image"):
        load(files())
    assert set(Path("cache").iterdir()) == whole


def test_writing_to_inputs_leaves_the_cache_alone() -> None:
    write("a.parquet", {"image": [png(np.zeros((4, 4), np.uint8))] * 2, "label": [0, 1]})
    load(files()).train["inputs"].fill_(9)
    assert int(load(files()).train["inputs"].max()) == 0


def test_json_that_is_one_list() -> None:
    Path("a.json").write_text('[{"x": 1.5, "label": "a"},\n {"x": 2, "label": "b"}]')
    data = load(files("a.json"))
    assert (data.train["inputs"].tolist(), data.labels) == ([[1.5], [2.0]], ["a", "b"])


def test_mnist(data_dir: Path) -> None:
    path = str(data_dir / "mnist" / "test.parquet")
    data = load(files(path, inputs=["image"]))
    assert length(data.train) == 10_000
    assert data.input_shape == (1, 28, 28)
    assert data.labels == list(range(10))
    assert data.train["targets"][:10].tolist() == pq.read_table(path)["label"].to_pylist()[:10]
    assert data.train["targets"].bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert 0.12 < data.train["inputs"].double().mean() / 255 < 0.14


def test_torch_dataset() -> None:
    inputs = torch.arange(60).view(20, 3)
    data = load(TorchDataset(train=TensorDataset(inputs, torch.arange(20) % 2), test=None, test_size=0.25, **SHARED))
    assert (length(data.train), length(data.test["test"])) == (15, 5)
    assert data.train["inputs"].dtype == torch.int64
    items: Any = [(Image.fromarray(np.full((4, 5), i, dtype=np.uint8)), "ab"[i]) for i in range(2)]
    pictures = load(TorchDataset(train=items, test=items, test_size=0.0, **SHARED))
    assert pictures.input_shape == (1, 4, 5)
    assert pictures.labels == ["a", "b"]
    rows: Any = [(np.array([0.5, 1.5]), torch.tensor([i])) for i in range(2)]
    vectors = load(TorchDataset(train=rows, test=rows, test_size=0.0, **SHARED))
    assert vectors.train["inputs"].dtype == torch.float32
    assert vectors.labels == [0, 1]


SHARED = {"batch_size": 4, "val_size": 0, "limit": None}


def broken(path: str, content: bytes) -> Callable[[], Any]:
    def make() -> Any:
        Path(path).write_bytes(content)
        return load(files(path))

    return make


def tabled(table: dict[str, Any] | pa.Table, **changes: Any) -> Callable[[], Any]:
    return lambda: load(files(write("a.parquet", table), **changes))


ODD = [png(np.zeros((4, 4), np.uint8)), png(np.zeros((5, 4), np.uint8))]
ITEMS: dict[str, Any] = {
    "shapes": [(torch.zeros(2), 0), (torch.zeros(3), 1)],
    "items": [torch.zeros(2)],
    "float": [(torch.zeros(2), 0.5), (torch.zeros(2), 1.5)],
    "several": [(torch.zeros(2), torch.zeros(3))],
    "mixed": [(torch.zeros(2), 1), (torch.zeros(2), "a")],
    "dict": [({"text": "a"}, 1)],
    "endless": iter([]),
    "none": [],
}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: load(files("nix/*.parquet")), "data.train=nix/*.parquet: no such file, and no file matches"),
        (tabled(TABLE, target="labl"), "a.parquet: no column 'labl', did you mean 'label'? (x, flag, label)"),
        (tabled(TABLE, inputs=["y"]), "a.parquet: no column 'y'"),
        (tabled({"label": [1, 2]}), "a.parquet: no column but 'label', nothing to predict from"),
        (tabled({"x": [1.0, None], "label": [1, 2]}), "column 'x' has 1 empty values"),
        (tabled({"x": [1.0, 2.0], "label": [1, None]}), "column 'label' has 1 empty values"),
        (broken("a.csv", b"x,label\n1,cat\n2,\n"), "a.csv: column 'label' has 1 empty values: drop those rows"),
        (tabled({"x": [1.0, 1e300], "label": [1, 2]}), "data.train: example 1 has an input that is NaN or infinite"),
        (tabled({"x": [1.0, float("nan")], "label": [1, 2]}), "data.train: example 1 has an input that is NaN"),
        (tabled({"x": ["a", "b"], "label": [1, 2]}), "column 'x' is string, expected numbers or images"),
        (tabled({"x": [1, 2], "label": [0.5, 1.5]}), "column 'label' is double, a label is an integer"),
        (tabled({"x": [1, 2], "label": [1, 1]}), "data.train has one class only, 1: a first update needs two"),
        (tabled(pa.table([[1], [2], [3]], names=["x", "x", "label"])), "column 'x' is there twice"),
        (tabled({"x": pa.array([], pa.float32()), "label": pa.array([], pa.int64())}), "data.train has no examples"),
        (tabled({"image": ODD, "label": [0, 1]}), "row 1 is 5×4 pixels, the first image 4×4: data.image_size=[H,W]"),
        (tabled({"image": [png(np.zeros((4, 4), np.uint16))], "label": [0]}), "row 0 has more than 8 bits per channel"),
        (tabled({"image": [ODD[0], None], "label": [0, 1]}), "column 'image' has 1 empty values"),
        (tabled({"image": [{"bytes": b"no", "path": ""}], "label": [0]}), "row 0 is no image that Pillow can read"),
        (tabled({"image": ODD, "x": [1, 2], "label": [0, 1]}), "column 'image' holds images: data.inputs=['image']"),
        (tabled(TABLE, val_size=4), "data.val_size=4 leaves none of 4 examples to train on"),
        (tabled(TABLE, val_size=0.1), "data.val_size=0.1 of 4 examples is none"),
        (broken("a.csv", b"x,label\n1,2\n3\n"), "a.csv: not readable as csv"),
        (broken("a.csv", "x,label\nü,1\nö,2\n".encode("latin-1")), "a.csv: not readable as csv"),
        (broken("a.csv", "ü,label\n1,1\n2,2\n".encode("latin-1")), "a.csv: not readable as csv: 'utf-8' codec"),
        (broken("a.csv", b""), "a.csv: not readable as csv: Empty CSV file"),
        (broken("a.json", b"[{]"), "a.json: not readable as json"),
        (broken("a.parquet", b"PAR1"), "a.parquet: not readable as parquet"),
        (broken("a.txt", b""), "a.txt: unknown suffix '.txt', expected one of .parquet, .csv"),
        (lambda: files(batch_size=0), "data.batch_size=0: expected 1 or more"),
        (lambda: files(val_size=1.5), "data.val_size=1.5: expected a fraction below 1, or a number"),
        (lambda: files(limit=0), "data.limit=0: expected 1 or more"),
        (lambda: files(inputs="image"), "data.inputs=image: expected a list of columns, as [image]"),
        (lambda: files(inputs=["x", "label"]), "data.inputs=['x', 'label'] holds data.target=label: take it out"),
        (lambda: files(image_size=32), "data.image_size=32: expected [height, width], both 1 or more"),
        (lambda: files(image_size=[0, 3]), "data.image_size=[0, 3]: expected [height, width], both 1 or more"),
        (tabled(TABLE, test={}), "data.test names nothing to measure on"),
        (lambda: files(test=None, test_size=2), "data.test_size=2: expected a fraction between 0 and 1"),
        *[
            (lambda name=name: load(TorchDataset(train=ITEMS[name], test=ITEMS[name], test_size=0, **SHARED)), text)
            for name, text in [
                ("shapes", "item 1 is torch.float32 [3], item 0 is torch.float32 [2]: all must be alike"),
                ("several", "data.train: item 0: its target has shape [3], expected one label"),
                ("mixed", "data.train: some targets are text, some integers: use one kind"),
                ("dict", "data.train: item 0: its input is dict, expected a tensor, an array, numbers or an image"),
                ("endless", "data.train: list_iterator has no length, expected a data set with len()"),
                ("items", "data.train: item 0 is Tensor, expected (input, target)"),
                ("float", "target 0.5 is float, a label is an integer or text"),
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
    with pytest.raises(DataError, match="column '[xy]' is in only one of b/1.parquet and b/2.parquet"):
        load(files("b/*.parquet"))
    write("b/2.parquet", {"x": ["one"], "label": [1]})
    with pytest.raises(DataError, match="b/2.parquet: its columns differ in kind from b/1.parquet: .*x .*string"):
        load(files("b/*.parquet"))


@pytest.mark.parametrize("column", ["x", "label"])
def test_empty_values_are_told_by_their_file(column: str) -> None:
    write("b/1.parquet", {"x": [1, 2], "label": [0, 1]})
    write("b/2.parquet", {"x": [1, 2], "label": [0, 1]} | {column: [1, None]})
    with pytest.raises(DataError, match=f"^b/2.parquet: column '{column}' has 1 empty values"):
        load(files("b/*.parquet"))


def test_a_bad_image_is_told_by_its_file_and_its_row_there() -> None:
    write("b/1.parquet", {"image": [ODD[0]] * 2, "label": [0, 1]})
    write("b/2.parquet", {"image": ODD, "label": [0, 1]})
    with pytest.raises(DataError, match="^b/2.parquet: column 'image': row 1 is 5×4 pixels"):
        load(files("b/*.parquet"))


def test_test_inputs_of_another_kind() -> None:
    train: Any = [(torch.zeros(2, dtype=torch.uint8), i) for i in range(2)]
    test: Any = [(torch.zeros(2), i) for i in range(2)]
    with pytest.raises(DataError, match=r"data.test: inputs are float32 \[2\], those of data.train uint8 \[2\]"):
        load(TorchDataset(train=train, test=test, test_size=0, **SHARED))


def test_labels_that_only_the_test_has_and_other_kinds() -> None:
    write("a.parquet", {"x": [1, 2], "label": [0, 1]})
    write("b.parquet", {"x": [1, 2], "label": [0, 5]})
    with pytest.raises(DataError, match=r"data.test: labels \[5\] are in neither data.train nor the state"):
        load(files("a.parquet", test="b.parquet"))
    with pytest.raises(DataError, match="its labels are like 0, the state's like 'cat'"):
        load(files("a.parquet"), labels=["cat", "dog"])


def test_batches_cover_an_epoch_and_shuffle_by_the_generator() -> None:
    columns = {"inputs": torch.arange(10)[:, None], "targets": torch.arange(10)}
    batches = Batches(columns, 4, BatchTransform(), torch.Generator().manual_seed(0))
    first, second = ([b.targets.tolist() for b in batches] for _ in range(2))
    assert len(batches) == len(first) == 3
    assert sorted(sum(first, [])) == list(range(10))
    assert first != second
    plain = Batches(columns, 4, BatchTransform())
    assert [b.targets.tolist() for b in plain] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_batch_says_which_fields_it_has() -> None:
    batch = BatchTransform()({"inputs": torch.zeros(2, 1), "targets": torch.zeros(2), "logits": torch.ones(2, 3)})
    assert torch.equal(batch.logits, torch.ones(2, 3))
    with pytest.raises(AttributeError, match=r"no field 'nix', only \['logits'\]"):
        _ = batch.nix
