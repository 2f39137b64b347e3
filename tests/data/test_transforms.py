"""Batch transforms against the same transform of each image by itself."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import nn

from renate.data.transforms import (
    CenterCrop,
    ColorJitter,
    Mixup,
    Normalize,
    RandomCrop,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    Scale,
)
from renate.errors import DataError

IMAGES = torch.randint(
    256, (64, 3, 8, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


def test_scale() -> None:
    torch.testing.assert_close(Scale()(IMAGES), IMAGES.float() / 255)
    floats = torch.randn(2, 3)
    assert Scale()(floats) is floats


def test_normalize() -> None:
    out = Normalize([0.1, 0.2, 0.3], [0.5, 0.25, 1.0])(IMAGES / 255)
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 1.0)]):
        torch.testing.assert_close(out[:, channel], (IMAGES[:, channel] / 255 - mean) / std)


def test_every_crop_is_a_window_of_its_padded_image() -> None:
    torch.manual_seed(0)
    out = RandomCrop(2)(IMAGES)
    seen = set()
    assert out.shape == IMAGES.shape
    assert out.dtype == torch.uint8
    for image, cropped in zip(IMAGES, out, strict=True):
        padded = torch.nn.functional.pad(image, [2] * 4)
        windows = {(t, l): padded[:, t : t + 8, l : l + 6] for t in range(5) for l in range(5)}  # noqa: E741
        found = [at for at, window in windows.items() if torch.equal(window, cropped)]
        assert found
        seen.add(found[0])
    assert len(seen) > 15, "offsets are drawn per image"


def test_flip() -> None:
    torch.manual_seed(0)
    out = RandomHorizontalFlip(0.5)(IMAGES)
    flipped = [torch.equal(o, i.flip(-1)) for o, i in zip(out, IMAGES, strict=True)]
    assert all(f or torch.equal(o, i) for f, o, i in zip(flipped, out, IMAGES, strict=True))
    assert 16 < sum(flipped) < 48
    assert torch.equal(RandomHorizontalFlip(1.0)(IMAGES), IMAGES.flip(-1))


def test_a_seed_repeats_the_random_ones_on_floats_too() -> None:
    for transform in (RandomCrop(2), RandomHorizontalFlip(0.5)):
        torch.manual_seed(3)
        first = transform(IMAGES)
        torch.manual_seed(3)
        assert torch.equal(transform(IMAGES.float()), first.float())


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        (
            Normalize([0.1, 0.2], [1.0, 1.0]),
            "transform: Normalize has 2 means, the inputs 3 channels",
        ),
        (RandomCrop(2), r"transform: RandomCrop needs images [C, H, W], the inputs are [3]"),
        (
            RandomHorizontalFlip(0.5),
            r"transform: RandomHorizontalFlip needs images [C, H, W], the inputs are [3]",
        ),
    ],
)
def test_inputs_that_do_not_fit(transform: torch.nn.Module, text: str) -> None:
    with pytest.raises(DataError) as caught:
        transform(torch.zeros(2, 3))
    assert str(caught.value) == text


def test_bounds() -> None:
    for make, text in [
        (lambda: RandomCrop(0), "padding=0"),
        (lambda: RandomHorizontalFlip(1.5), "p=1.5"),
        (lambda: Normalize([0.1], [0.0]), "std above 0"),
    ]:
        with pytest.raises(ValueError, match=text):
            make()


FLOATS = IMAGES / 255


def test_upside_down() -> None:
    assert torch.equal(RandomVerticalFlip(1.0)(IMAGES), IMAGES.flip(-2))
    assert torch.equal(RandomVerticalFlip(0.0)(IMAGES), IMAGES)


@pytest.mark.parametrize(("angle", "turns"), [(0, 0), (90, 1), (180, 2), (270, 3), (-90, 3)])
def test_a_right_angle_turns_as_numpy_does(angle: int, turns: int) -> None:
    square = IMAGES[:4, :, :6]
    out = RandomRotation([angle, angle])(square)
    assert torch.equal(out, torch.rot90(square, turns, (2, 3)))
    half = RandomRotation([180, 180])(IMAGES)
    assert torch.equal(half, IMAGES.flip(-1, -2)), "of what is higher than wide too"


def test_angles_are_drawn_per_image() -> None:
    torch.manual_seed(0)
    image = IMAGES[:1].expand(64, -1, -1, -1)
    out = RandomRotation([-20, 20])(image)
    assert len({each.numpy().tobytes() for each in out}) > 50


def test_a_part_of_the_whole_area_is_the_whole_image() -> None:
    whole = RandomResizedCrop(scale=[1, 1], ratio=[1, 1])
    assert torch.equal(whole(IMAGES), IMAGES)


def test_parts_lie_within_the_image() -> None:
    torch.manual_seed(0)
    rows = torch.linspace(0, 1, 32)[:, None].expand(32, 32)
    ramp = torch.stack([rows, rows.T]).expand(500, 2, 32, 32)
    out = RandomResizedCrop(scale=[0.2, 0.6], ratio=[0.5, 2.0])(ramp)

    # A part of a ramp is a ramp: its range says where the part was, and how high and wide
    height = out[:, 0].amax((1, 2)) - out[:, 0].amin((1, 2))
    width = out[:, 1].amax((1, 2)) - out[:, 1].amin((1, 2))
    area = (height * width).numpy()
    assert 0.1 < area.min() < 0.25
    assert 0.5 < area.max() < 0.65
    shape = (width / height).numpy()
    assert 0.45 < shape.min() < 0.7
    assert 1.4 < shape.max() < 2.2
    assert out.amin() >= 0
    assert out.amax() <= 1, "nothing from outside"


def test_another_size_as_pillow_makes_it() -> None:
    for size in ([4, 3], [16, 18], [8, 6]):
        out = Resize(size)(IMAGES)
        for image, resized in zip(IMAGES[:8], out, strict=False):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            expected = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            found = resized.permute(1, 2, 0).numpy().astype(int)
            assert np.abs(found - np.asarray(expected, int)).max() <= 1


def test_the_middle() -> None:
    assert torch.equal(CenterCrop([4, 4])(IMAGES), IMAGES[:, :, 2:6, 1:5])
    with pytest.raises(DataError, match=r"CenterCrop to \[9, 4\], the images are \[8, 6\]"):
        CenterCrop([9, 4])(IMAGES)


@pytest.mark.parametrize(
    ("name", "pillow"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_colours_change_as_pillow_changes_them(
    name: str, pillow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for factor in (0.5, 1.4):
        jitter = ColorJitter(**{name: 0.5})
        drawn = torch.full((len(FLOATS), 1, 1, 1), factor)
        monkeypatch.setattr(jitter, "_factors", lambda inputs, amount, drawn=drawn: drawn)
        out = jitter(FLOATS)
        for image, changed in zip(IMAGES[:8], out, strict=False):
            picture = pillow(Image.fromarray(image.permute(1, 2, 0).numpy())).enhance(factor)
            expected = np.asarray(picture, float) / 255
            assert np.abs(changed.permute(1, 2, 0).numpy() - expected).max() < 2.5 / 255


def test_factors_are_drawn_per_image_from_their_range() -> None:
    torch.manual_seed(0)
    dark = torch.full((2000, 1, 2, 2), 0.25)
    factors = (ColorJitter(brightness=0.4)(dark) / 0.25)[:, 0, 0, 0]
    assert factors.min() == pytest.approx(0.6, abs=0.01)
    assert factors.max() == pytest.approx(1.4, abs=0.01)
    assert factors.mean() == pytest.approx(1.0, abs=0.03)


def test_grey_images_have_three_equal_channels() -> None:
    out = RandomGrayscale(1.0)(FLOATS)
    assert torch.equal(out[:, 0], out[:, 1])
    expected = 0.299 * FLOATS[:, 0] + 0.587 * FLOATS[:, 1] + 0.114 * FLOATS[:, 2]
    torch.testing.assert_close(out[:, 0], expected)


def test_what_is_covered_is_a_rectangle_of_the_asked_area() -> None:
    torch.manual_seed(0)
    white = torch.ones(500, 1, 40, 40)
    out = RandomErasing(p=1.0, scale=(0.05, 0.2), ratio=(0.5, 2.0))(white)
    for image in out[:, 0]:
        rows, columns = torch.nonzero(image == 0, as_tuple=True)
        height = int(rows.max() - rows.min()) + 1
        width = int(columns.max() - columns.min()) + 1
        assert height * width == len(rows), "a rectangle"
        assert 0.04 < len(rows) / 1600 < 0.22

    touched = (out == 0).any(0)[0]
    assert bool(touched.any(0).all()), "each column"
    assert bool(touched.any(1).all()), "each row"
    some = RandomErasing(p=0.3)(white)
    assert 100 < int((some == 0).flatten(1).any(1).sum()) < 200


def test_a_mix_is_the_same_of_inputs_and_targets() -> None:
    torch.manual_seed(0)
    mixup = Mixup(alpha=1.0)
    mixup.outputs = 4
    identity = torch.eye(4)
    targets = torch.arange(4)
    inputs, soft = mixup(identity, targets)
    assert torch.equal(inputs, soft), "of inputs that are their targets"
    torch.testing.assert_close(soft.sum(1), torch.ones(4))

    logits = torch.randn(4, 4)
    weight = float(soft[0].max())
    partner = soft - torch.diag(torch.diagonal(soft))
    if float(partner.max()) > 0:
        by_pairs = nn.functional.cross_entropy(logits, soft)
        log = nn.functional.log_softmax(logits, 1)
        assert by_pairs == pytest.approx(float(-(soft * log).sum(1).mean()), rel=1e-5)
    assert 0 < weight <= 1

    numbers = torch.randn(4, 2)
    mixed, values = mixup(numbers, numbers)
    assert torch.equal(mixed, values), "numbers are mixed as they are"


def test_the_weights_of_mixes_are_beta_distributed() -> None:
    torch.manual_seed(0)
    mixup = Mixup(alpha=0.4)
    pair = torch.tensor([[0.0], [1.0]])
    drawn = torch.stack([mixup(pair, pair)[0][0, 0] for _ in range(4000)])
    drawn = drawn[(drawn > 0) & (drawn < 1)]  # the others met themselves
    assert len(drawn) == pytest.approx(2000, abs=200)
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RandomRotation([10]), r"degrees=\[10\]: expected \[low, high\]"),
        (lambda: RandomResizedCrop(scale=[0.5, 1.5]), "scale=.*: expected .low, high., both"),
        (lambda: Resize([0, 3]), r"size=\[0, 3\]: expected \[height, width\]"),
        (lambda: ColorJitter(contrast=-1), "contrast=-1: expected 0 or more"),
        (lambda: RandomErasing(p=2), "p=2: expected between 0 and 1"),
        (lambda: Mixup(alpha=0), "alpha=0: expected above 0"),
        (lambda: Mixup(alpha=math.inf), "alpha=inf: expected above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    ("transform", "inputs", "text"),
    [
        (ColorJitter(0.1), IMAGES, "ColorJitter needs floats in .0, 1., not torch.uint8"),
        (RandomGrayscale(0.5), FLOATS[:, :2], "needs three channels, the images have 2"),
        (RandomRotation([0, 1]), FLOATS[0], "RandomRotation needs images"),
        (RandomErasing(), torch.zeros(3, 4), "RandomErasing needs images"),
    ],
)
def test_inputs_that_are_no_such_images_are_named(
    transform: nn.Module, inputs: torch.Tensor, text: str
) -> None:
    with pytest.raises(DataError, match=text):
        transform(inputs)
