"""Encoded images -> one array, decoded once and then mapped from a file."""

import hashlib
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
# What Pillow decodes by itself; for others (EPS, PS) it would start another program on the file.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO")
MOST_PIXELS = 1 << 26  # of one image; a file of some kilobytes can claim to be one of gigabytes
DECODER = 2  # changes whenever other pixels come of the same file: older caches hold others


def decode(
    columns: Mapping[str, Any], folder: Path, key: str, size: tuple[int, ...] | None, channels: int | None = None
) -> Tensor:
    """Decode columns of encoded images, one after the other into a file, so that memory holds one image.

    Args:
        columns: File and column, for messages -> Arrow column of binary, or of the Hub's struct with `bytes`.
        folder: Of the files that hold results; one is made if it isn't there, or isn't whole.
        key: Names what is decoded: content and settings.
        size: (height, width) to resize to, or None.
        channels: 1 or 3, as the model has them; None says what the images need.

    Returns:
        uint8 [N, C, H, W], C = 1 where every image is grey, else 3; mapped from the file, copied only when written to.

    Raises:
        DataError: An image that can't be decoded, images of several sizes without `size`, or one in colour for a model
            of grey ones.
    """
    cache = folder / f"{hashlib.sha256(f'{key}/{DECODER}'.encode()).hexdigest()[:24]}.npy"
    rows = sum(map(len, columns.values()))
    mapped = _mapped(cache, rows)
    if mapped is None:
        _make(cache, columns, size, channels)
        mapped = _mapped(cache, rows)
    if mapped is None:
        raise DataError(f"{cache}: gone, or damaged, as soon as it was written: is the disk full?")
    return torch.from_numpy(mapped)


def _mapped(cache: Path, rows: int) -> Any:
    """The decoded images, if the file is there and whole."""
    try:
        found = np.load(cache, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = found.dtype == np.uint8 and found.ndim == 4 and len(found) == rows and found.shape[1] in (1, 3)
    return found if whole else None


def _make(path: Path, columns: Mapping[str, Any], size: tuple[int, ...] | None, channels: int | None) -> None:
    """Write so that no reader, and no later run, ever finds a part."""
    if not sum(map(len, columns.values())):
        raise DataError(f"{next(iter(columns))} has no rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        for mode in {None: ("L", "RGB"), 1: ("L",), 3: ("RGB",)}[channels]:  # grey until one in colour turns up
            with temporary.open("wb") as file:
                if _fill(file, columns, mode, size, only_grey=channels == 1):
                    break
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(
    file: IO[bytes], columns: Mapping[str, Any], mode: str, size: tuple[int, ...] | None, *, only_grey: bool
) -> bool:
    """Write the images as a .npy file; False where `mode` is grey and one isn't."""
    first: tuple[int, ...] = ()
    for where, column in columns.items():
        for row, scalar in enumerate(column):
            value = scalar.as_py()
            found = _open(value.get("bytes") if isinstance(value, dict) else value, f"{where}: row {row + 1}", size)
            if mode == "L" and found.mode not in GREY:
                if only_grey:
                    raise DataError(f"{where}: row {row + 1} is in colour, those that the model knows are grey")
                return False
            pixels = np.asarray(found if found.mode == mode else found.convert(mode))
            if not first:
                first = pixels.shape[:2]
                shape = (sum(map(len, columns.values())), 1 if mode == "L" else 3, *first)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            if pixels.shape[:2] != first:
                raise DataError(
                    f"{where}: row {row + 1} is {'×'.join(map(str, pixels.shape[:2]))} pixels, the first image "
                    f"{'×'.join(map(str, first))}: data.image_size=[H,W] resizes all"
                )
            file.write((pixels if mode == "L" else pixels.transpose(2, 0, 1)).tobytes())
    return True


def _open(data: bytes | None, where: str, size: tuple[int, ...] | None) -> Any:
    """An image as a viewer shows it: turned upright, what is transparent on white."""
    from PIL import Image, ImageOps

    if not data:
        raise DataError(f"{where} has no bytes of an image: a path alone isn't followed")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise DataError(f"{where} has {image.width}×{image.height} pixels, more than {MOST_PIXELS:,}: shrink it")
        image.load()
        image = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, MemoryError) as error:
        raise DataError(
            f"{where} is no image that can be read (known are {', '.join(FORMATS[:8])}): {type(error).__name__}"
        ) from error
    if image.mode in DEEP:
        raise DataError(f"{where} has more than 8 bits per channel (mode {image.mode}): convert the images first")
    image = _on_white(image)
    if size is None or image.size == (size[1], size[0]):
        return image
    if image.mode not in ("L", "RGB"):  # a palette's numbers can't be averaged
        image = image.convert("L" if image.mode in GREY else "RGB")
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


def _on_white(image: Any) -> Any:
    from PIL import Image

    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image
    grey = image.mode in ("L", "1", "LA", "La")
    over = image.convert("RGBA")
    white = Image.new("RGBA", over.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, over).convert("L" if grey else "RGB")
