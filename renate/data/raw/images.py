"""Images that a version predicts for: encoded, of Pillow, or arrays."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.images.decode import InColourError, Layout, as_seen, fitted, laid_out, pixels
from renate.data.kept.inputs import Inputs
from renate.errors import DataError


def layout_of(inputs: Inputs, size: Sequence[int] | None, fit: str) -> Layout:
    """Return what images become that go where those of a state went.

    Args:
        inputs: The state's.
        size: [height, width] that images of another size are resized to; None refuses them.
        fit: How they get there, see `open_image`.

    Raises:
        DataError: The state's images aren't of this size.
    """
    channels, height, width = inputs.shape
    if size is not None and tuple(size) != (height, width):
        raise DataError(
            f"data.image_size={list(size)}: the images of the state are {height}×{width}: "
            f"data.image_size=[{height},{width}]"
        )

    return Layout("L" if channels == 1 else "RGB", height, width, size is not None, fit)


def is_image(raw: Any) -> bool:
    """Whether something is an image of Pillow."""
    return hasattr(raw, "convert") and hasattr(raw, "tobytes") and hasattr(raw, "mode")


def encoded(
    images: Sequence[bytes | None],
    layout: Layout,
    where: str,
    first: int = 0,
    names: Sequence[str] = (),
) -> Tensor:
    """Return encoded images as they are stored, uint8 [N, C, H, W].

    Args:
        images: Their bytes.
        layout: What they become.
        where: Where they are from, for messages.
        first: The number that the first of them has there.
        names: What each is called in place of that; empty where it's called nothing.

    Raises:
        DataError: One that can't be decoded, or is of another size or in colour.
    """

    def each() -> Iterator[bytes]:
        for image in images:
            yield pixels(image, layout)

    places = names or [_numbered(where, first + row) for row in range(len(images))]
    return _stacked(each(), places, layout)


def of_pillow(images: Sequence[Any], layout: Layout, where: str) -> Tensor:
    """The same of images of Pillow, turned upright, on white where they are transparent."""

    def each() -> Iterator[bytes]:
        for image in images:
            if not is_image(image):
                raise DataError(f" is {type(image).__name__}, expected an image of Pillow")

            seen = as_seen(image, "")
            wanted = (layout.width, layout.height)
            if layout.resize and seen.size != wanted:
                seen = fitted(seen, wanted, layout.fit)

            yield laid_out(seen, layout)

    return _stacked(each(), [_numbered(where, row) for row in range(len(images))], layout)


def _numbered(where: str, row: int) -> str:
    return f"{where}: row {row} (the first is 0)"


def _stacked(images: Iterable[bytes], places: Sequence[str], layout: Layout) -> Tensor:
    found = np.empty((len(places), *layout.shape), np.uint8)
    rows = iter(images)
    for row, place in enumerate(places):
        try:
            found[row] = np.frombuffer(next(rows), np.uint8).reshape(layout.shape)
        except InColourError:
            raise DataError(
                f"{place} is in colour, the images of the state are grey: convert it to that"
            ) from None
        except DataError as error:
            raise DataError(f"{place}{error}") from error

    return torch.from_numpy(found)
