"""Networks with continual normalisation."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from renate.build import build
from renate.models.continual.norm import with_continual_norm

OF_THIS_PACKAGE = ("renate.models.",)


class ContinuallyNormalized(nn.Module):
    """A network of images with continual normalisation wherever it has batch normalisation.

    Args:
        network: The path of one of this package's that has batch normalisation.
        settings: Its further arguments.
        groups: Of the group normalisation, see `ContinualNorm`.
        in_channels: 3 for RGB, 1 for grey.
        num_classes: Outputs.
    """

    def __init__(
        self,
        network: str,
        settings: Mapping[str, Any],
        groups: int,
        in_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        sizes = {"in_channels": in_channels, "num_classes": num_classes}
        node = {"_target_": network, **settings, **sizes}
        made = build(node, "model.network", only=OF_THIS_PACKAGE)
        self.net = with_continual_norm(made, groups)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, in_channels, H, W] float -> logits [B, num_classes]."""
        logits: Tensor = self.net(inputs)
        return logits
