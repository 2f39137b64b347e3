"""Small images on disk, and sources that read them."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from renate.data.images.sources.folder import ImageFolder
from renate.data.images.sources.table import ImageTable

SHARED = {"test_size": 0.25, "batch_size": 8, "val_size": 0, "limit": None}
RULES = {"image_size": None, "image_fit": "stretch", "corrupt": "error", "cache_dir": "cache"}
COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


def picture(label: str, seed: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """A noisy image of its label's colour, of (width, height)."""
    noise = np.random.default_rng(seed).integers(-30, 31, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noise + COLOURS[label], 0, 255).astype(np.uint8))


def write_folder(root: Path, count: int, seed: int = 0, size: tuple[int, int] = (8, 8)) -> Path:
    """`root/<label>/<number>.png`, so many of each label."""
    for place, label in enumerate(COLOURS):
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            unique = seed * 10_000 + place * 1000 + number
            picture(label, unique, size).save(root / label / f"{unique}.png")
    return root


def folder(train: Any = "photos", **changes: Any) -> ImageFolder:
    plain: dict[str, Any] = {"train": train, "test": None, **SHARED, **RULES}
    return ImageFolder(**plain | changes)


def table(train: Any = "a.csv", **changes: Any) -> ImageTable:
    plain: dict[str, Any] = {
        "train": train,
        "test": None,
        "image": "path",
        "target": "label",
        "folder": None,
        **SHARED,
        **RULES,
    }
    return ImageTable(**plain | changes)
