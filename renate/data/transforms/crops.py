"""Parts of images, and images of another size."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.transforms.images import images, pixels_of, sampled, span, uniform
from renate.errors import DataError


class RandomCrop(nn.Module):
    """Pad images [B, C, H, W] with zeros and cut each at an offset of its own, back to H × W.

    Args:
        padding: Pixels on each side.
    """

    def __init__(self, padding: int) -> None:
        super().__init__()
        if padding < 1:
            raise ValueError(f"padding={padding}: expected 1 or more")
        self.padding = padding

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a crop of each padded image, [B, C, H, W] and of the same dtype.

        Raises:
            DataError: The inputs aren't images.
        """
        inputs = images(inputs, "RandomCrop")
        batch, channels, height, width = inputs.shape
        padded = F.pad(inputs, [self.padding] * 4)
        top, left = torch.randint(2 * self.padding + 1, (2, batch, 1), device=inputs.device)
        rows = (top + torch.arange(height, device=inputs.device))[:, None, :, None]
        columns = (left + torch.arange(width, device=inputs.device))[:, None, None, :]
        image = torch.arange(batch, device=inputs.device).view(-1, 1, 1, 1)
        channel = torch.arange(channels, device=inputs.device).view(1, -1, 1, 1)

        return padded[image, channel, rows, columns]


class RandomResizedCrop(nn.Module):
    """Cut a part of random area and shape out of each image [B, C, H, W] and stretch it to H × W
    (Szegedy et al., 2015, https://arxiv.org/abs/1409.4842, section 6).

    Args:
        scale: Least and largest share of the area.
        ratio: Least and largest width per height of the part, drawn evenly on a log scale; a part
            that would be wider or higher than the image is cut to it.
    """

    def __init__(
        self,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (0.75, 1.3333333333333333),
    ) -> None:
        super().__init__()
        self.scale = span(scale, "scale", 1e-6, 1)
        self.ratio = span(ratio, "ratio", 1e-6)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a part of each image, [B, C, H, W] and of the same dtype.

        Raises:
            DataError: The inputs aren't images.
        """
        inputs = images(inputs, "RandomResizedCrop")
        area = uniform(inputs, *self.scale)
        shape = uniform(inputs, *map(math.log, self.ratio)).exp()
        width = (area * shape).sqrt().clamp(max=1)
        height = (area / shape).sqrt().clamp(max=1)

        places = torch.zeros(len(inputs), 2, 3, device=inputs.device)
        places[:, 0, 0] = width
        places[:, 1, 1] = height
        places[:, 0, 2] = (1 - width) * uniform(inputs, -1, 1)
        places[:, 1, 2] = (1 - height) * uniform(inputs, -1, 1)

        return sampled(inputs, places)


class Resize(nn.Module):
    """Stretch images [B, C, H, W] to one size, smoothed where they shrink.

    Args:
        size: [height, width].
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = pixels_of(size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return images [B, C, *size] of the same dtype; of integers rounded.

        Raises:
            DataError: The inputs aren't images.
        """
        inputs = images(inputs, "Resize")
        if list(inputs.shape[2:]) == self.size:
            return inputs

        floats = inputs if inputs.is_floating_point() else inputs.float()
        found = F.interpolate(floats, self.size, mode="bilinear", antialias=True)
        if inputs.is_floating_point():
            return found
        return found.round_().clamp_(0, 255).to(inputs.dtype)


class CenterCrop(nn.Module):
    """Keep the middle of images [B, C, H, W].

    Args:
        size: [height, width], of which an odd pixel too many is cut off at the end.
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = pixels_of(size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [B, C, *size].

        Raises:
            DataError: The inputs aren't images, or are smaller.
        """
        inputs = images(inputs, "CenterCrop")
        height, width = self.size
        if inputs.shape[2] < height or inputs.shape[3] < width:
            raise DataError(
                f"transform: CenterCrop to {self.size}, the images are {list(inputs.shape[2:])}"
            )

        top = (inputs.shape[2] - height) // 2
        left = (inputs.shape[3] - width) // 2

        return inputs[:, :, top : top + height, left : left + width]
