"""Encoded images -> one array, decoded once and then mapped from a file."""

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from renate.errors import DataError

# Of the pixels that this module makes of an image; arrays that were kept by another aren't used.
VERSION = 2
# What Pillow decodes itself: others, such as EPS, would start a program.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
# Of one image, so that a small file can't fill the memory.
MAX_PIXELS = 89_478_485
GREY = ("L", "1", "LA", "La")
DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def decode(columns: Mapping[str, Any], cache: Path, size: tuple[int, ...] | None) -> Tensor:
    """Decode columns of encoded images, one after the other into the file, so that memory holds one image.

    Args:
        columns: File and column, for messages -> Arrow column of binary, or of the Hub's struct with `bytes`.
        cache: The file that holds the result; made if it isn't there, or isn't whole.
        size: (height, width) to resize to, or None.

    Returns:
        uint8 [N, C, H, W], C = 1 where every image is grey, else 3; mapped from the file, copied only when written to.

    Raises:
        DataError: An image that can't be decoded, or images of several sizes without `size`.
    """
    rows = sum(map(len, columns.values()))
    mapped = _mapped(cache, rows, size)
    if mapped is None:
        _make(cache, columns, size)
        mapped = _mapped(cache, rows, size)
    if mapped is None:
        raise DataError(f"{cache} isn't as it was written: is the disk full, or damaged?")
    return torch.from_numpy(mapped)


def _mapped(path: Path, rows: int, size: tuple[int, ...] | None) -> np.ndarray[Any, Any] | None:
    """Map the file; None where it isn't there, was cut off, or holds something else."""
    try:
        found = np.load(path, mmap_mode="c", allow_pickle=False)
        length = path.stat().st_size
    except (OSError, ValueError, EOFError, SyntaxError):
        return None
    if not isinstance(found, np.memmap) or found.dtype != np.uint8 or found.ndim != 4:
        return None
    if found.offset + found.nbytes != length or found.shape[0] != rows or found.shape[1] not in (1, 3):
        return None
    return found if size is None or found.shape[2:] == size else None


def _make(path: Path, columns: Mapping[str, Any], size: tuple[int, ...] | None) -> None:
    """Write so that no reader, and no later run, ever finds a part."""
    if not sum(map(len, columns.values())):
        raise DataError(f"{next(iter(columns))} has no rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        for mode in ("L", "RGB"):  # grey until an image in colour turns up
            with temporary.open("wb") as file:
                done = _fill(file, columns, mode, size)
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves the name with zeros behind it
            if done:
                break
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(file: IO[bytes], columns: Mapping[str, Any], mode: str, size: tuple[int, ...] | None) -> bool:
    """Write the images as a .npy file; False where `mode` is grey and one isn't."""
    first: tuple[int, ...] = ()
    for where, column in columns.items():
        for row, scalar in enumerate(column):
            found = _open(scalar.as_py(), f"{where}: row {row}", size)
            if mode == "L" and found.mode != "L":
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


def _open(value: Any, where: str, size: tuple[int, ...] | None) -> Any:
    from PIL import Image

    data = value
    if isinstance(value, dict):
        data = value.get("bytes")
        if data is None and value.get("path"):
            raise DataError(f"{where} has a path but no bytes: embed the images in the file")
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels: those are counted below
            image: Image.Image = Image.open(io.BytesIO(data or b""), formats=formats)
            _check(image, where)
            image.load()
        image = as_seen(image, where)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{where} is more than {MAX_PIXELS:,} pixels: make it smaller first") from error
    except Exception as error:  # decoders of damaged bytes raise whatever happens to them
        raise DataError(
            f"{where} is no image that Pillow can read, expected {', '.join(FORMATS)}: replace or drop it"
        ) from error
    if size is None or image.size == (size[1], size[0]):
        return image
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


def _check(image: Any, where: str) -> None:
    """Refuse what decoding would make too much, or only a part, of; nothing is decoded yet."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"{where} is {height}×{width} pixels, more than {MAX_PIXELS:,} in all: make it smaller first")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format in FORMATS:  # phones put a preview behind a JPEG, which is MPO then
        raise DataError(f"{where} has {frames} frames: keep one of them as an image")


def as_seen(image: Any, where: str) -> Any:
    """Return a PIL image as a viewer shows it: upright, on white where it is transparent, of mode L or RGB.

    Raises:
        DataError: More than 8 bits per channel.
    """
    from PIL import Image, ImageOps

    if image.mode in DEEP:
        raise DataError(f"{where} has more than 8 bits per channel (mode {image.mode}): convert the images first")
    image = ImageOps.exif_transpose(image)
    mode = "L" if image.mode in GREY else "RGB"
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)
