"""What transforms of images share: the checks of their inputs, and sampling at moved places."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from renate.data.model_inputs import single
from renate.errors import DataError


def images(inputs: object, who: str) -> Tensor:
    """Return inputs that are images [B, C, H, W].

    Raises:
        DataError: They are something else.
    """
    found = single(inputs, f"transform: {who}")
    if found.ndim != 4:
        raise DataError(
            f"transform: {who} needs images [C, H, W], the inputs are {list(found.shape[1:])}"
        )

    return found


def scaled_images(inputs: object, who: str) -> Tensor:
    """Return inputs that are images of floats, as `Scale` leaves them.

    Raises:
        DataError: They are something else.
    """
    found = images(inputs, who)
    if not found.is_floating_point():
        raise DataError(f"transform: {who} needs floats in [0, 1], not {found.dtype}: after Scale")

    return found


def chance(p: float, name: str = "p") -> float:
    """Return a probability that is one. Raises ValueError."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}={p}: expected between 0 and 1")
    return p


def span(values: Sequence[float], name: str, least: float, most: float = math.inf) -> list[float]:
    """Return [low, high] that lie between `least` and `most`. Raises ValueError."""
    found = list(values)
    if len(found) != 2 or not least <= found[0] <= found[1] <= most:
        bounds = f"{least:g} or more"
        if most < math.inf:
            bounds = f"between {least:g} and {most:g}"
        raise ValueError(f"{name}={found}: expected [low, high], both {bounds}")

    return found


def pixels_of(size: Sequence[int]) -> list[int]:
    """Return [height, width] that are a size. Raises ValueError."""
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size={list(size)}: expected [height, width], both 1 or more")
    return list(size)


def chosen(inputs: Tensor, p: float) -> Tensor:
    """Return which examples of a batch are changed, bool [B, 1, 1, 1]."""
    return torch.rand(len(inputs), 1, 1, 1, device=inputs.device) < p


def uniform(inputs: Tensor, low: float, high: float) -> Tensor:
    """Return a number for each example, float32 [B]."""
    return torch.empty(len(inputs), device=inputs.device).uniform_(low, high)


def sampled(inputs: Tensor, places: Tensor) -> Tensor:
    """Return images as they are found at moved places, between pixels interpolated linearly.

    Args:
        inputs: [B, C, H, W]; outside of them there are zeros.
        places: Affine maps [B, 2, 3] from coordinates of the result to those of the inputs, both
            from -1 to 1 (see `torch.nn.functional.affine_grid`).

    Returns:
        [B, C, H, W] of the same dtype; of integers rounded.
    """
    floats = inputs if inputs.is_floating_point() else inputs.float()
    grid = F.affine_grid(places.to(floats.dtype), list(inputs.shape), align_corners=False)
    found = F.grid_sample(floats, grid, align_corners=False)
    if inputs.is_floating_point():
        return found
    return found.round_().to(inputs.dtype)
