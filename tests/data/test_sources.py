"""Every source: known rows, dtypes, labels and counts; splitting."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from renate.data import digits
from renate.data.batch import Batches, BatchTransform, length
from renate.data.digits import Digits
from renate.data.torch_dataset import TorchDataset
from tests.data.scenes import SHARED, TABLE, files, load, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def test_digits_are_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from its file, and from its function where the file has moved."""
    ours = Digits(batch_size=32, val_size=0.1, limit=None).read()
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    digits._parsed.cache_clear()
    theirs = Digits(batch_size=32, val_size=0.1, limit=None).read()
    for (x, y), (a, b) in ((ours[0], theirs[0]), (ours[1]["test"], theirs[1]["test"])):
        assert torch.equal(x, a)
        assert list(y) == list(b)
    digits._parsed.cache_clear()


def test_digits() -> None:
    data = load(Digits(batch_size=32, val_size=0.1, limit=None))
    assert data.val is not None
    assert length(data.train) + length(data.val) == 1437
    assert length(data.val) == pytest.approx(144, abs=36), "within three standard deviations"
    assert length(data.test["test"]) == 360
    assert data.train["inputs"].dtype == torch.uint8
    assert data.input_shape == (1, 8, 8)
    assert data.labels == list(range(10))
    assert int(data.train["inputs"].max()) == 240
    other = load(Digits(batch_size=32, val_size=0.1, limit=None), seed=1)
    assert torch.equal(data.test["test"]["inputs"], other.test["test"]["inputs"]), (
        "one test set for every seed"
    )
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
    write("a.parquet", {"x": list(range(400)), "label": [0, 1] * 200})
    data = load(files(test=None))
    again = load(files(test=None), seed=9)
    rows = [c["inputs"][:, 0].tolist() for c in (data.train, data.test["test"])]
    assert len(rows[1]) == pytest.approx(100, abs=26)
    assert sorted(rows[0] + rows[1]) == list(range(400))
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
    assert len(rows[1]) == pytest.approx(20, abs=12)
    assert sorted(rows[0] | rows[1]) == list(range(100))
    assert not rows[0] & rows[1]
    counted = load(files(val_size=5, limit=20))
    assert counted.val is not None
    assert (length(counted.train), length(counted.val)) == (20, 5), (
        "a limit is one of training examples"
    )
    assert load(files()).val is None


def test_json_that_is_one_list() -> None:
    Path("a.json").write_text('[{"x": 1.5, "label": "a"},\n {"x": 2, "label": "b"}]')
    data = load(files("a.json"))
    assert (data.train["inputs"].tolist(), data.labels) == ([[1.5], [2.0]], ["a", "b"])


def test_torch_dataset() -> None:
    inputs = torch.arange(60).view(20, 3)
    data = load(
        TorchDataset(
            train=TensorDataset(inputs, torch.arange(20) % 2), test=None, test_size=0.25, **SHARED
        )
    )
    assert length(data.train) + length(data.test["test"]) == 20
    assert length(data.test["test"]) == pytest.approx(5, abs=5)
    assert data.train["inputs"].dtype == torch.int64
    items: Any = [(Image.fromarray(np.full((4, 5), i, dtype=np.uint8)), "ab"[i]) for i in range(2)]
    pictures = load(TorchDataset(train=items, test=items, test_size=0.0, **SHARED))
    assert pictures.input_shape == (1, 4, 5)
    assert pictures.labels == ["a", "b"]
    rows: Any = [(np.array([0.5, 1.5]), torch.tensor([i])) for i in range(2)]
    vectors = load(TorchDataset(train=rows, test=rows, test_size=0.0, **SHARED))
    assert vectors.train["inputs"].dtype == torch.float32
    assert vectors.labels == [0, 1]


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
    batch = BatchTransform()(
        {"inputs": torch.zeros(2, 1), "targets": torch.zeros(2), "logits": torch.ones(2, 3)}
    )
    assert torch.equal(batch.logits, torch.ones(2, 3))
    with pytest.raises(AttributeError, match=r"no field 'nix', only \['logits'\]"):
        _ = batch.nix
