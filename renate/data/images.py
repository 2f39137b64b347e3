"""Encoded images -> one array, decoded once and then mapped from a file."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from renate.errors import DataError

GREY = ("L", "1", "LA")
DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def decode(columns: Mapping[str, Any], cache: Path, size: tuple[int, ...] | None) -> Tensor:
    """Decode columns of encoded images, one after the other into the file, so that memory holds one image.

    Args:
        columns: File and column, for messages -> Arrow column of binary, or of the Hub's struct with `bytes`.
        cache: The file that holds the result; made if it isn't there.
        size: (height, width) to resize to, or None.

    Returns:
        uint8 [N, C, H, W], C = 1 where every image is grey, else 3; mapped from the file, copied only when written to.

    Raises:
        DataError: An image that can't be decoded, or images of several sizes without `size`.
    """
    if not cache.exists():
        _make(cache, columns, size)
    mapped = np.load(cache, mmap_mode="c")
    return torch.from_numpy(mapped)


def _make(path: Path, columns: Mapping[str, Any], size: tuple[int, ...] | None) -> None:
    """Write so that no reader, and no later run, ever finds a part."""
    if not sum(map(len, columns.values())):
        raise DataError(f"{next(iter(columns))} has no rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        for mode in ("L", "RGB"):  # grey until an image in colour turns up
            with temporary.open("wb") as file:
                if _fill(file, columns, mode, size):
                    break
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(file: IO[bytes], columns: Mapping[str, Any], mode: str, size: tuple[int, ...] | None) -> bool:
    """Write the images as a .npy file; False where `mode` is grey and one isn't."""
    first: tuple[int, ...] = ()
    for where, column in columns.items():
        for row, scalar in enumerate(column):
            value = scalar.as_py()
            found = _open(value.get("bytes") if isinstance(value, dict) else value, f"{where}: row {row}", size)
            if mode == "L" and found.mode not in GREY:
                return False
            pixels = np.asarray(found if found.mode == mode else found.convert(mode))
            if not first:
                first = pixels.shape[:2]
                shape = (sum(map(len, columns.values())), 1 if mode == "L" else 3, *first)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            if pixels.shape[:2] != first:
                raise DataError(
                    f"{where}: row {row} is {'×'.join(map(str, pixels.shape[:2]))} pixels, the first image "
                    f"{'×'.join(map(str, first))}: data.image_size=[H,W] resizes all"
                )
            file.write((pixels if mode == "L" else pixels.transpose(2, 0, 1)).tobytes())
    return True


def _open(data: bytes | None, where: str, size: tuple[int, ...] | None) -> Any:
    from PIL import Image

    try:
        image: Image.Image = Image.open(io.BytesIO(data or b""))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is no image that Pillow can read") from error
    if image.mode in DEEP:
        raise DataError(f"{where} has more than 8 bits per channel (mode {image.mode}): convert the images first")
    if size is None or image.size == (size[1], size[0]):
        return image
    if image.mode not in ("L", "RGB"):  # a palette's numbers can't be averaged
        image = image.convert("L" if image.mode in GREY else "RGB")
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
