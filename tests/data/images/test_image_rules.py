"""What becomes of images of odd sizes and damaged ones: against Pillow's own pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from renate.data.images import blocks
from renate.data.images.decode import open_image
from renate.data.images.rules import ImageRules
from renate.errors import ConfigError, DataError
from tests.data.images.scenes_of_images import COLOURS, folder, picture, write_folder
from tests.data.test_images import encoded


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def seen(image: Image.Image, size: tuple[int, int], fit: str) -> np.ndarray[Any, Any]:
    return np.asarray(open_image(encoded(image), size, fit)).astype(int)


@pytest.mark.parametrize(("height", "width"), [(12, 4), (4, 12), (5, 5)])
def test_stretch_resizes_each_side(height: int, width: int) -> None:
    image = picture("red", 0, (9, 7))
    expected = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    assert np.array_equal(seen(image, (height, width), "stretch"), expected)


def test_crop_keeps_the_middle_in_proportion() -> None:
    """Of a wide image with coloured ends the ends are gone, and the middle isn't stretched."""
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, :10] = pixels[:, 20:] = 255
    pixels[3:7, 13:17] = 100
    assert np.array_equal(seen(Image.fromarray(pixels), (10, 10), "crop"), pixels[:, 10:20])
    half = seen(Image.fromarray(pixels), (5, 5), "crop")
    reference = Image.fromarray(pixels[:, 10:20]).resize((5, 5), Image.Resampling.BILINEAR)
    assert np.abs(half[1:4, 1:4] - np.asarray(reference).astype(int)[1:4, 1:4]).max() <= 1


def test_pad_keeps_the_whole_in_proportion_on_black() -> None:
    pixels = np.full((10, 30, 3), 200, np.uint8)
    found = seen(Image.fromarray(pixels), (30, 30), "pad")
    assert np.array_equal(found[10:20], pixels)
    assert not found[:10].any()
    assert not found[20:].any()


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_one_of_the_right_size_stays_as_it_is(fit: str) -> None:
    image = picture("blue", 1, (6, 4))
    assert np.array_equal(seen(image, (4, 6), fit), np.asarray(image))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": [0, 3]}, r"data.image_size=\[0, 3\]: expected \[height, width\]"),
        ({"size": 3}, "data.image_size=3: expected"),
        ({"size": [3, 3], "fit": "cropp"}, "data.image_fit=cropp: .* did you mean 'crop'"),
        ({"fit": "crop"}, "data.image_fit=crop: to what size"),
        ({"corrupt": "drop"}, "data.corrupt=drop: expected one of error, skip"),
    ],
)
def test_rules_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ImageRules(**settings)


def damage(*files: str) -> None:
    for file in files:
        path = Path(file)
        path.write_bytes(path.read_bytes()[:60])


def test_a_damaged_file_is_named() -> None:
    write_folder(Path("photos"), 6)
    damage("photos/green/1003.png")
    with pytest.raises(DataError, match=r"photos/green/1003\.png is no image that Pillow can read"):
        folder().load(seed=0)
    assert not list(Path("cache").glob("*.npy"))


@pytest.mark.parametrize("processes", [1, 3])
def test_damaged_files_are_left_out_and_counted(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of all, the last of all, and some between; the others keep their labels."""
    if processes > 1:
        monkeypatch.setattr(blocks.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
        monkeypatch.setattr(blocks, "IMAGES_PER_WORKER", 1)
        monkeypatch.setattr(blocks, "BLOCK_IMAGES", 4)

    write_folder(Path("photos"), 9)
    lost = ["blue/2000.png", "green/1004.png", "green/1005.png", "red/8.png"]
    damage(*(f"photos/{name}" for name in lost))
    for _ in range(2):  # decoded, then mapped from the cache
        data = folder(corrupt="skip").load(seed=0)
        every = torch.cat([data.train["inputs"], data.test["test"]["inputs"]])
        targets = torch.cat([data.train["targets"], data.test["test"]["targets"]])
        assert len(every) == 27 - len(lost)
        for image, target in zip(every, targets.tolist(), strict=True):
            brightest = int(image.float().mean((1, 2)).argmax())
            assert data.labels[target] == ["red", "green", "blue"][brightest]
        (note,) = [line for line in data.notes if "left out" in line]
        assert note == (
            "4 of 27 images can't be decoded, and are left out: photos/blue/2000.png is no image "
            "that Pillow can read, expected PNG, JPEG, GIF, BMP, WEBP, TIFF, PPM"
        )

    names = [file.name for file in data.files["train"]]
    assert len(names) == 23
    assert not {f"photos/{name}" for name in lost} & set(names)


def test_a_list_that_is_damaged_is_made_anew() -> None:
    write_folder(Path("photos"), 4)
    damage("photos/red/0.png")
    folder(corrupt="skip").load(seed=0)
    (listed,) = Path("cache").glob("*.left_out.json")
    for content in ("[", '[[99, "x"]]', "[]", "{}"):
        listed.write_text(content)
        assert any("1 of 12" in line for line in folder(corrupt="skip").load(seed=0).notes)


def test_where_none_can_be_decoded() -> None:
    write_folder(Path("photos"), 2)
    damage(*map(str, Path("photos").rglob("*.png")))
    with pytest.raises(DataError, match="none of the 6 images can be decoded"):
        folder(corrupt="skip").load(seed=0)


def test_skipping_does_not_skip_images_of_other_sizes() -> None:
    write_folder(Path("photos"), 3)
    picture("red", 5, (9, 8)).save("photos/red/0.png")
    with pytest.raises(DataError, match=r"photos/red/0\.png is 8×9 pixels, the first image 8×8"):
        folder(corrupt="skip").load(seed=0)
    assert folder(corrupt="skip", image_size=[4, 4]).load(seed=0).input_shape == (3, 4, 4)


def test_colours_are_known() -> None:
    """The scenes tell their labels by the brightest channel."""
    assert list(COLOURS) == ["red", "green", "blue"]
    assert [max(range(3), key=colour.__getitem__) for colour in COLOURS.values()] == [0, 1, 2]
