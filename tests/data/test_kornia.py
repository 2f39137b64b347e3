"""kornia's augmentations as transforms; without the package what to install is said."""

import sys

import pytest
import torch

from renate.build import build
from renate.data.transforms import Kornia
from renate.errors import ConfigError, DataError
from renate.jobs.builders import transform_of
from renate.launchers.sweeps.from_python import composed

IMAGES = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
FLIP = {"augmentation": "RandomHorizontalFlip", "settings": {"p": 0.5}}


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "kornia"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(ConfigError, match=r"transform: Kornia needs kornia: .*renate-cl\[kornia\]"):
        Kornia(**FLIP)


@pytest.mark.slow
def test_what_kornia_does() -> None:
    """In one test, as the package takes two seconds to import."""
    pytest.importorskip("kornia", reason="renate-cl[kornia] is not installed")

    # Each image has random numbers of its own, which follow from the seed
    flip = Kornia(**FLIP)
    torch.manual_seed(0)
    found = flip(IMAGES)
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(found, IMAGES, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(found, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 2 < sum(flipped) < 14
    torch.manual_seed(0)
    assert torch.equal(flip(IMAGES), found)

    # The option composes and works
    _, job = composed(["transform=kornia"])
    stream = transform_of(job.config.transform, "stream", "cpu")
    pixels = (IMAGES * 255).to(torch.uint8)
    batch = stream({"inputs": pixels, "targets": torch.zeros(16, dtype=torch.int64)})
    assert batch.inputs.shape == IMAGES.shape
    assert batch.inputs.dtype == torch.float32
    assert not torch.equal(batch.inputs, pixels / 255)

    # What can't be
    with pytest.raises(DataError, match="Kornia RandomHorizontalFlip needs floats in"):
        flip(pixels)
    with pytest.raises(ConfigError, match="no such augmentation of images, did you mean 'RandomA"):
        Kornia("RandomAfine", {})
    node = {"_target_": "renate.data.transforms.Kornia", **FLIP, "settings": {"q": 1}}
    with pytest.raises(ConfigError, match=r"transform: settings: kornia's RandomHorizontalFlip: "):
        build(node, "transform")
