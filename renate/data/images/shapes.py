"""Images held against those that came before: their channels and their size."""

from collections.abc import Sequence

from torch import Tensor

from renate.errors import DataError


def as_those_before(
    images: Tensor, shape: Sequence[int] | None, origin: str, where: str, *, is_test: bool
) -> tuple[Tensor, list[str]]:
    """Return images in the channels and size of those that they are held against, and what to say.

    Only test images are turned from grey into colour, where nothing is lost by it.

    Args:
        images: uint8 [N, C, H, W].
        shape: Of one of those before; None where there are none.
        origin: What those are of: `the state`, `data.train`.
        where: What these are, for messages.
        is_test: Whether these are only measured on.

    Raises:
        DataError: They are of another size, or in colour where the others are grey.
    """
    if not shape or len(shape) != 3 or tuple(images.shape[1:]) == tuple(shape):
        return images, []

    if images.shape[2:] != shape[1:]:
        size = "×".join(map(str, images.shape[2:]))
        height, width = shape[1:]
        raise DataError(
            f"{where} is {size} pixels, the images of {origin} are {height}×{width}: "
            f"data.image_size=[{height},{width}] resizes them"
        )

    if is_test and images.shape[1] == 1:
        return images.expand(-1, shape[0], -1, -1), [
            f"{where} is grey, {origin} has colour: read as colour"
        ]

    found = "in colour"
    if images.shape[1] == 1:
        found = "grey"

    wanted = "grey" if shape[0] == 1 else "in colour"
    raise DataError(
        f"{where} is {found}, the images of {origin} are {wanted}: convert the images to that"
    )
