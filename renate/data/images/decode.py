"""One encoded image -> its pixels. Knows neither torch nor NumPy, so that a process which
decodes starts fast.
"""

import io
import warnings
from functools import cache
from typing import Any, NamedTuple

from renate.errors import DataError

# Of the pixels that this module makes of an image; arrays that were kept by another aren't used.
VERSION = 2
# What Pillow decodes itself: others, such as EPS, would start a program.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
# Of one image, so that a small file can't fill the memory.
MAX_PIXELS = 89_478_485
GREY = ("L", "1", "LA", "La")
DEEP = ("I", "F")
# Sixteen bits a pixel, 65535 of which are white.
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
# How an image of another shape becomes one of a given size.
FITS = ("stretch", "crop", "pad")


class Layout(NamedTuple):
    """What all images of a column become.

    Attributes:
        mode: L or RGB.
        height: In pixels.
        width: In pixels.
        resize: Whether images of another size are resized, instead of refused.
        fit: One of `FITS`, see `open_image`.
        skip: Whether images that can't be decoded are left out, instead of refused.
    """

    mode: str
    height: int
    width: int
    resize: bool
    fit: str = "stretch"
    skip: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape [C, H, W] of each image, C being 1 for L and 3 for RGB."""
        return (1 if self.mode == "L" else 3, self.height, self.width)


class InColourError(Exception):
    """An image is in colour where all before it were grey."""


class CorruptError(DataError):
    """An image that can't be decoded, whatever it should become."""


def pixels(data: bytes | None, layout: Layout) -> bytes:
    """Decode one image.

    Args:
        data: Encoded; None is one that has a path in place of its bytes.
        layout: What it becomes.

    Returns:
        Its pixels, uint8 [C, H, W].

    Raises:
        DataError: It can't be decoded (`CorruptError`), or is of another size; the message goes on
            from where it stands.
        InColourError: It isn't grey, where `layout` is.
    """
    size = (layout.height, layout.width)
    return laid_out(open_image(data, size if layout.resize else None, layout.fit), layout)


def laid_out(image: Any, layout: Layout) -> bytes:
    """Return the pixels of an image of mode L or RGB, uint8 [C, H, W]; raises as `pixels`."""
    if layout.mode == "L" and image.mode != "L":
        raise InColourError
    if (image.height, image.width) != (layout.height, layout.width):
        raise DataError(
            f" is {image.height}×{image.width} pixels, the first image "
            f"{layout.height}×{layout.width}: data.image_size=[H,W] resizes all"
        )

    if image.mode != layout.mode:
        image = image.convert(layout.mode)

    data: bytes = image.tobytes()
    # a channel after the other, as networks take them
    return data if layout.mode == "L" else data[0::3] + data[1::3] + data[2::3]


def open_image(data: bytes | None, size: tuple[int, ...] | None, fit: str = "stretch") -> Any:
    """Decode an image, as a viewer shows it.

    Args:
        data: Encoded; None where there is only a path.
        size: (height, width) to resize to, or None.
        fit: `stretch` resizes each side; `crop` fills the size and cuts off what goes beyond, alike
            on both sides; `pad` fits the whole image in, the rest is black.

    Returns:
        A PIL image of mode L or RGB.

    Raises:
        CorruptError: What can't be decoded whole; the message goes on from where it stands.
        DataError: A path without bytes.
    """
    from PIL import Image

    if data is None:
        raise DataError(" has a path but no bytes: embed the images in the file")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels: those are counted below
            image: Image.Image = Image.open(io.BytesIO(data), formats=_formats())
            _check(image)
            image.load()

        image = as_seen(image, "")
    except CorruptError:
        raise
    except Image.DecompressionBombError as error:
        raise CorruptError(f" is more than {MAX_PIXELS:,} pixels: make it smaller first") from error
    except Exception as error:  # decoders of damaged bytes raise whatever happens to them
        expected = ", ".join(FORMATS)
        raise CorruptError(
            f" is no image that Pillow can read, expected {expected}: replace or drop it"
        ) from error

    if size is None or image.size == (size[1], size[0]):
        return image

    return fitted(image, (size[1], size[0]), fit)


def fitted(image: Any, size: tuple[int, int], fit: str) -> Any:
    """Return an image of another size at (width, height); for `fit` see `open_image`."""
    from PIL import Image, ImageOps

    if fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if fit == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=0)

    return image.resize(size, Image.Resampling.BILINEAR)


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this Pillow has; `Image.init` would load the plugins of some forty
    others.
    """
    from PIL import (  # noqa: F401
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    return [name for name in FORMATS if name in Image.OPEN]


def _check(image: Any) -> None:
    """Refuse what decoding would make too much, or only a part, of; nothing is decoded yet."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise CorruptError(
            f" is {height}×{width} pixels, more than {MAX_PIXELS:,} in all: make it smaller first"
        )

    frames = getattr(image, "n_frames", 1)
    # Phones put a preview behind a JPEG, which is MPO then
    if frames > 1 and image.format in FORMATS:
        raise CorruptError(f" has {frames} frames: keep one of them as an image")


def as_seen(image: Any, where: str) -> Any:
    """Return a PIL image as a viewer shows it: upright, on white where it is transparent, of mode L
    or RGB.

    Of 16 bits the upper eight stay: 65535 is white, whatever the brightest pixel is.

    Raises:
        CorruptError: 32 bits a pixel, of which nothing says how bright they are.
    """
    from PIL import ExifTags, Image, ImageOps

    if image.mode in DEEP:
        raise CorruptError(
            f"{where} has 32 bits per pixel (mode {image.mode}), and nothing says which is white: "
            "convert the images first"
        )

    image.load()  # an orientation may stand behind the pixels
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # else `exif_transpose` makes a copy
        image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN:
        image = image.convert("I").point([value >> 8 for value in range(2**16)], "L")

    mode = "L" if image.mode in GREY else "RGB"
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)

    return image if image.mode == mode else image.convert(mode)
