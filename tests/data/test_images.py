"""Encoded images: decoded once, exactly, and mapped from then on."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from renate.data.batch import length
from renate.errors import DataError
from tests.data.scenes import files, load, png, write


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


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


def test_mnist(data_dir: Path) -> None:
    path = str(data_dir / "mnist" / "test.parquet")
    data = load(files(path, inputs=["image"]))
    assert length(data.train) == 10_000
    assert data.input_shape == (1, 28, 28)
    assert data.labels == list(range(10))
    assert data.train["targets"][:10].tolist() == pq.read_table(path)["label"].to_pylist()[:10]
    assert data.train["targets"].bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert 0.12 < data.train["inputs"].double().mean() / 255 < 0.14
