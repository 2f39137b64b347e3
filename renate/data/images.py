"""Encoded images -> one array, decoded once and then mapped from a file."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.errors import DataError


def decode(column: Any, cache: Path, size: tuple[int, ...] | None, where: str) -> Tensor:
    """Decode a column of encoded images.

    Args:
        column: Arrow column of binary, or of the Hub's struct with `bytes`.
        cache: The file that holds the result; made if it isn't there.
        size: (height, width) to resize to, or None.
        where: File and column, for messages.

    Returns:
        uint8 [N, C, H, W], C = 1 where every image is grey, else 3; mapped from the file, copied only when written to.

    Raises:
        DataError: An image that can't be decoded, or images of several sizes without `size`.
    """
    if not cache.exists():
        _write(cache, _decode(column, size, where))
    mapped = np.load(cache, mmap_mode="c")
    return torch.from_numpy(mapped)


def _decode(column: Any, size: tuple[int, ...] | None, where: str) -> np.ndarray[Any, Any]:
    from PIL import Image, UnidentifiedImageError

    if size is not None and (len(size) != 2 or min(size) < 1):
        raise DataError(f"data.image_size={list(size)}: expected [height, width]")
    images: list[np.ndarray[Any, Any]] = []
    grey = True
    for row, value in enumerate(column.to_pylist()):
        data = value.get("bytes") if isinstance(value, dict) else value
        try:
            image: Image.Image = Image.open(io.BytesIO(data or b""))
            if image.mode not in ("L", "RGB"):
                image = image.convert("L" if image.mode in ("1", "LA", "I;16") else "RGB")
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{where}: row {row} is no image that Pillow can read") from error
        grey = grey and pixels.ndim == 2
        if images and pixels.shape[:2] != images[0].shape[:2]:
            first, this = "×".join(map(str, images[0].shape[:2])), "×".join(map(str, pixels.shape[:2]))
            raise DataError(f"{where}: row 0 is {first} pixels, row {row} is {this}: data.image_size=[H,W] resizes all")
        images.append(pixels)
    if not images:
        raise DataError(f"{where} has no rows")
    if grey:
        return np.stack(images)[:, None]
    colour = [p if p.ndim == 3 else np.repeat(p[..., None], 3, 2) for p in images]
    return np.ascontiguousarray(np.stack(colour).transpose(0, 3, 1, 2))


def _write(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write so that no reader, and no later run, ever finds a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.save(file, array)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
