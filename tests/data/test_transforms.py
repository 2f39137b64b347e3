"""Batch transforms against the same transform of each image by itself."""

import pytest
import torch

from renate.data.transforms import Normalize, RandomCrop, RandomHorizontalFlip, Scale
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
