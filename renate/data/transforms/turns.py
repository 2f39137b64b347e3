"""Images mirrored and rotated."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from renate.data.transforms.images import chance, chosen, images, sampled, span, uniform


class _RandomFlip(nn.Module):
    """Reverse one side of each image [B, C, H, W] with probability p.

    Args:
        p: Between 0 and 1.
    """

    side: ClassVar[int]

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = chance(p)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images [B, C, H, W], each as it was or reversed.

        Raises:
            DataError: The inputs aren't images.
        """
        inputs = images(inputs, type(self).__name__)
        return torch.where(chosen(inputs, self.p), inputs.flip(self.side), inputs)


class RandomHorizontalFlip(_RandomFlip):
    """Mirror each image [B, C, H, W] with probability p.

    Args:
        p: Between 0 and 1.
    """

    side = -1


class RandomVerticalFlip(_RandomFlip):
    """Turn each image [B, C, H, W] upside down with probability p.

    Args:
        p: Between 0 and 1.
    """

    side = -2


class RandomRotation(nn.Module):
    """Turn each image [B, C, H, W] about its centre; what comes in from outside is zero.

    Args:
        degrees: Least and largest angle, counter-clockwise.
    """

    def __init__(self, degrees: Sequence[float]) -> None:
        super().__init__()
        self.degrees = span(degrees, "degrees", -360, 360)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images [B, C, H, W], each turned by an angle of its own, of the same dtype.

        Raises:
            DataError: The inputs aren't images.
        """
        inputs = images(inputs, "RandomRotation")
        angle = uniform(inputs, *self.degrees) * (math.pi / 180)
        height, width = inputs.shape[2:]

        # Coordinates go from -1 to 1 along either side, however long it is
        places = torch.zeros(len(inputs), 2, 3, device=inputs.device)
        places[:, 0, 0] = angle.cos()
        places[:, 0, 1] = -angle.sin() * (height / width)
        places[:, 1, 0] = angle.sin() * (width / height)
        places[:, 1, 1] = angle.cos()

        return sampled(inputs, places)
