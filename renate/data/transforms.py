"""Transforms of whole batches [B, ...], on whatever device they lie. Random ones draw from
torch's global generator.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.model_inputs import InputMapping, ModelInputs, single
from renate.data.tables.exact import EXACT
from renate.errors import DataError


class Scale(nn.Module):
    """uint8, which is what pixels are, -> float32 in [0, 1]; floats are left alone.

    Other integers and booleans are no pixels: they become float32 of the same value. In a mapping
    they are ids, lengths or masks, and are left alone.
    """

    def forward(self, inputs: ModelInputs) -> ModelInputs:
        """Raises DataError for integers that float32 can't hold."""
        if not isinstance(inputs, Tensor):
            scaled = {k: v * (1 / 255) if v.dtype == torch.uint8 else v for k, v in inputs.items()}
            return InputMapping(scaled, getattr(inputs, "paddings", {}))

        return self._of_tensor(inputs)

    def _of_tensor(self, inputs: Tensor) -> Tensor:
        if inputs.dtype == torch.uint8:
            return inputs * (1 / 255)
        if inputs.is_floating_point():
            return inputs

        scaled = inputs.float()
        # Of fewer bits all are exact, and a GPU needn't be waited for
        if inputs.dtype in (torch.int32, torch.int64):
            lost = inputs[(inputs > EXACT) | (inputs < -EXACT)]
            if len(lost) and bool((lost.float().double() != lost.double()).any()):
                raise DataError(
                    f"transform: Scale found the integer {int(lost[0])}, which float32 can't hold: "
                    "subtract an offset or divide, or use transform=none for ids"
                )

        return scaled


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, per channel of float [B, C, ...].

    Args:
        mean: One value per channel.
        std: One value per channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(
                f"mean={list(mean)}, std={list(std)}: expected as many of each, std above 0"
            )
        self.mean = torch.tensor(list(mean))
        self.std = torch.tensor(list(std))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (inputs - mean) / std, [B, C, ...].

        Raises:
            DataError: C isn't the number of means.
        """
        inputs = single(inputs, "transform: Normalize")
        if inputs.shape[1] != len(self.mean):
            raise DataError(
                f"transform: Normalize has {len(self.mean)} means, the inputs {inputs.shape[1]} "
                "channels"
            )

        shape = (1, -1, *[1] * (inputs.ndim - 2))
        return (inputs - self.mean.to(inputs.device).view(shape)) / self.std.to(inputs.device).view(
            shape
        )


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
        inputs = single(inputs, "transform: RandomCrop")
        if inputs.ndim != 4:
            raise DataError(
                "transform: RandomCrop needs images [C, H, W], the inputs are "
                f"{list(inputs.shape[1:])}"
            )

        batch, channels, height, width = inputs.shape
        padded = F.pad(inputs, [self.padding] * 4)
        top, left = torch.randint(2 * self.padding + 1, (2, batch, 1), device=inputs.device)
        rows = (top + torch.arange(height, device=inputs.device))[:, None, :, None]
        columns = (left + torch.arange(width, device=inputs.device))[:, None, None, :]
        image = torch.arange(batch, device=inputs.device).view(-1, 1, 1, 1)
        channel = torch.arange(channels, device=inputs.device).view(1, -1, 1, 1)

        return padded[image, channel, rows, columns]


class RandomHorizontalFlip(nn.Module):
    """Mirror each image [B, C, H, W] with probability p.

    Args:
        p: Between 0 and 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p={p}: expected between 0 and 1")
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images [B, C, H, W], each as it was or with its columns in reverse order.

        Raises:
            DataError: The inputs aren't images.
        """
        inputs = single(inputs, "transform: RandomHorizontalFlip")
        if inputs.ndim != 4:
            shape = list(inputs.shape[1:])
            raise DataError(
                f"transform: RandomHorizontalFlip needs images [C, H, W], the inputs are {shape}"
            )
        flip = torch.rand(len(inputs), 1, 1, 1, device=inputs.device) < self.p
        return torch.where(flip, inputs.flip(-1), inputs)
