"""What brings inputs onto the scale that a model expects."""

from collections.abc import Sequence

import torch
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
