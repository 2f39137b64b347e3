"""Encoded images: decoded once, exactly, and mapped from then on."""

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import EpsImagePlugin, Image

from renate.data.batch import length
from renate.data.items.tensors import as_tensor
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
            assert torch.equal(
                data.train["inputs"], torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
            )
    assert len(list(Path("cache").glob("*.npy"))) == 1
    assert load(files(image_size=[3, 2])).input_shape == (3, 3, 2)


def test_grey_images_keep_one_channel() -> None:
    pixels = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
    write("a.parquet", {"image": [png(p) for p in pixels], "label": [0, 1]})
    assert torch.equal(load(files()).train["inputs"][:, 0], torch.from_numpy(pixels))


def test_one_image_in_colour_makes_all_have_three_channels() -> None:
    grey = np.full((4, 4), 7, np.uint8)
    colour = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
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
    assert data.train["targets"].bincount().tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert 0.12 < data.train["inputs"].double().mean() / 255 < 0.14


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read(*images: bytes) -> torch.Tensor:
    write("a.parquet", {"image": list(images), "label": [i % 2 for i in range(len(images))]})
    return load(files()).train["inputs"]


def test_transparent_parts_are_white_whatever_colour_lies_under_them() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0, 3] = 255
    pixels[0, 1, 3] = 51
    seen = torch.tensor([[0, 204], [255, 255]], dtype=torch.uint8)
    colour = encoded(Image.fromarray(pixels))
    grey = encoded(Image.fromarray(pixels[..., 2:]))
    assert torch.equal(read(grey, grey)[0], seen[None])
    assert torch.equal(read(colour, grey)[0], seen.expand(3, 2, 2))
    assert torch.equal(read(colour, grey)[1], seen.expand(3, 2, 2))


def test_palettes_grey_with_one_transparent_value_cmyk_and_one_bit() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    assert read(encoded(palette), encoded(palette, transparency=0))[:, :, 0].tolist() == [
        [[10, 40], [20, 50], [30, 60]],
        [[255, 40], [255, 50], [255, 60]],
    ]
    grey = encoded(Image.fromarray(np.array([[7, 9]], np.uint8)), transparency=7)
    bits = encoded(Image.fromarray(np.array([[True, False]])))
    assert read(grey, bits)[:, 0, 0].tolist() == [[255, 9], [255, 0]]
    ink = encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF")
    assert read(ink, ink)[0, :, 0, 0].tolist() == [255, 0, 0]


def test_a_photograph_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image = encoded(Image.fromarray(np.array([[1, 2, 3]], np.uint8)), exif=exif)
    assert read(image, image)[0, 0].tolist() == [[1], [2], [3]]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def test_what_would_start_a_program_is_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a))
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    with pytest.raises(
        DataError, match="a.parquet: column 'image': row 0 is no image .* expected PNG, JPEG"
    ):
        read(EPS, EPS)
    assert not started


def test_images_that_are_refused() -> None:
    frames = [Image.new("L", (2, 2), value) for value in (0, 255)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    huge = encoded(Image.new("1", (20_000, 5_000)))
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)))
    for image, text in [
        (moving, "row 0 has 2 frames: keep one"),
        (huge, "row 0 is 5000×20000 pixels, more than 89,478,485"),
        (whole[: len(whole) // 2], "row 0 is no image"),
        (b"", "row 0 is no image"),
    ]:
        with pytest.raises(DataError, match=text):
            read(image, image)


def test_a_path_without_bytes() -> None:
    write("a.parquet", {"image": [{"bytes": None, "path": "a.png"}] * 2, "label": [0, 1]})
    with pytest.raises(DataError, match="row 0 has a path but no bytes: embed the images"):
        load(files())


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "longer", "kind"])
def test_a_cache_that_is_not_whole_is_made_anew(damage: str) -> None:
    image = encoded(Image.new("L", (4, 4), 9))
    read(image, image)
    cache = next(Path("cache").glob("*.npy"))
    content = cache.read_bytes()
    if damage == "other":
        np.save(cache, np.zeros((3, 1, 4, 4), np.uint8))
    elif damage == "kind":
        np.save(cache, np.array([{}], dtype=object), allow_pickle=True)
    else:
        cache.write_bytes({"cut": content[:-1], "empty": b"", "longer": content + b"\0"}[damage])
    assert read(image, image).tolist() == [[[[9] * 4] * 4]] * 2
    assert cache.read_bytes() == content


def test_a_pil_image_of_an_item_is_as_a_viewer_shows_it() -> None:
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert as_tensor(clear, "item 0").tolist() == [[[255, 255], [255, 255]]] * 3
    assert as_tensor(Image.new("1", (1, 1), 1), "item 0").tolist() == [[[255]]]
    assert as_tensor(Image.new("I;16", (1, 1), 0x1234), "item 0").tolist() == [[[0x12]]]
    with pytest.raises(DataError, match="item 0: its input has 32 bits per pixel"):
        as_tensor(Image.new("F", (1, 1)), "item 0")


def test_of_sixteen_bits_the_upper_eight_stay() -> None:
    """As Pillow itself does with colour; what is turned by its EXIF data is turned."""
    values = np.array([[0, 255, 256, 0x1234, 65535]], np.uint16)
    grey = encoded(Image.fromarray(values))
    assert read(grey, grey)[0, 0].tolist() == [[0, 0, 1, 0x12, 255]]
    tiff = encoded(Image.fromarray(values), "TIFF")
    assert torch.equal(read(tiff, tiff), read(grey, grey))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.fromarray(values), exif=exif)
    assert read(turned, turned)[0, 0].tolist() == [[0], [0], [1], [0x12], [255]]
    with pytest.raises(DataError, match="row 0 has 32 bits per pixel .mode F."):
        read(encoded(Image.new("F", (2, 2)), "TIFF"))
