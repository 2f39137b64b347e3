"""Colours changed and parts covered."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from renate.data.transforms.images import chance, chosen, images, scaled_images, span, uniform
from renate.errors import DataError

# How bright red, green and blue look: ITU-R BT.601
LUMA = (0.299, 0.587, 0.114)


def grey(inputs: Tensor) -> Tensor:
    """Return how bright each pixel looks, [B, 1, H, W] of [B, C, H, W]: of three channels by their
    luma, of others their mean.
    """
    if inputs.shape[1] != 3:
        return inputs.mean(1, keepdim=True)
    weights = torch.tensor(LUMA, dtype=inputs.dtype, device=inputs.device).view(1, 3, 1, 1)
    return (inputs * weights).sum(1, keepdim=True)


class ColorJitter(nn.Module):
    """Change brightness, contrast and saturation of each image [B, C, H, W] in [0, 1], in this
    order.

    Each is multiplied by a factor that is drawn evenly from [max(0, 1 - x), 1 + x].

    Args:
        brightness: The x of the pixels themselves.
        contrast: The x of their distance from the image's mean grey.
        saturation: The x of their distance from their own grey.
    """

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0
    ) -> None:
        super().__init__()
        amounts = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, amount in amounts.items():
            if not 0 <= amount < math.inf:
                raise ValueError(f"{name}={amount}: expected 0 or more")

        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images, float [B, C, H, W] in [0, 1].

        Raises:
            DataError: The inputs aren't images of floats.
        """
        inputs = scaled_images(inputs, "ColorJitter")
        if self.brightness:
            inputs = (inputs * self._factors(inputs, self.brightness)).clamp(0, 1)
        if self.contrast:
            mean = grey(inputs).mean((2, 3), keepdim=True)
            inputs = _stretched(inputs, mean, self._factors(inputs, self.contrast))
        if self.saturation:
            inputs = _stretched(inputs, grey(inputs), self._factors(inputs, self.saturation))

        return inputs

    def _factors(self, inputs: Tensor, amount: float) -> Tensor:
        drawn = uniform(inputs, max(0.0, 1 - amount), 1 + amount)
        return drawn.to(inputs.dtype).view(-1, 1, 1, 1)


def _stretched(inputs: Tensor, middle: Tensor, factors: Tensor) -> Tensor:
    return (middle + (inputs - middle) * factors).clamp(0, 1)


class RandomGrayscale(nn.Module):
    """Take the colours out of each image [B, 3, H, W] in [0, 1] with probability p.

    Args:
        p: Between 0 and 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = chance(p)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images, float [B, 3, H, W].

        Raises:
            DataError: The inputs aren't images of floats with three channels.
        """
        inputs = scaled_images(inputs, "RandomGrayscale")
        if inputs.shape[1] != 3:
            found = f"the images have {inputs.shape[1]}"
            raise DataError(f"transform: RandomGrayscale needs three channels, {found}")

        return torch.where(chosen(inputs, self.p), grey(inputs).expand_as(inputs), inputs)


class RandomErasing(nn.Module):
    """Cover a rectangle of each image [B, C, H, W] with zeros, with probability p (Zhong et al.,
    2020, https://arxiv.org/abs/1708.04896).

    Args:
        p: Between 0 and 1.
        scale: Least and largest share of the area that is covered.
        ratio: Least and largest width per height, drawn evenly on a log scale.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
    ) -> None:
        super().__init__()
        self.p = chance(p)
        self.scale = span(scale, "scale", 1e-6, 1)
        self.ratio = span(ratio, "ratio", 1e-6)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images [B, C, H, W], of the same dtype.

        Raises:
            DataError: The inputs aren't images.
        """
        inputs = images(inputs, "RandomErasing")
        height, width = inputs.shape[2:]
        area = uniform(inputs, *self.scale) * (height * width)
        shape = uniform(inputs, *map(math.log, self.ratio)).exp()
        rows = _covered(height, (area / shape).sqrt(), uniform(inputs, 0, 1))
        columns = _covered(width, (area * shape).sqrt(), uniform(inputs, 0, 1))
        covered = rows[:, None, :, None] & columns[:, None, None, :]

        return torch.where(covered & chosen(inputs, self.p), torch.zeros_like(inputs), inputs)


def _covered(length: int, wanted: Tensor, place: Tensor) -> Tensor:
    """Which of `length` pixels lie within a stretch of `wanted` pixels [B] at a place [B] from 0 to
    1: bool [B, length].
    """
    size = wanted.round().clamp(1, length)
    begin = (place * (length - size + 1)).floor().clamp(max=length - 1)
    at = torch.arange(length, device=wanted.device)
    return (at >= begin[:, None]) & (at < (begin + size)[:, None])
