"""Residual networks in the layout of torchvision's weights."""

from collections.abc import Sequence

from torch import Tensor, nn

from renate.models.residual_blocks import WIDTHS, BasicBlock, Block, Bottleneck, backbone


class ResNet(nn.Module):
    """He et al., 2016, https://arxiv.org/abs/1512.03385, table 1; as torchvision has them, whose
    weights load by name (`conv1`, `bn1`, `layer1.0.conv1`, …, `fc`), and initialised alike.

    Args:
        in_channels: 3 for RGB, 1 for grey.
        num_classes: Outputs.
        layers: Blocks of each of the four stages: [2, 2, 2, 2] for 18, [3, 4, 6, 3] for 34 and 50.
        bottleneck: Whether a block is two 1×1 convolutions around a 3×3 one, as from 50 layers on,
            else two 3×3 ones.
        small_images: Whether the stem is a 3×3 convolution of stride 1 without pooling, for images
            of 32 × 32 or so; else it is a 7×7 one of stride 2 and max-pooling.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        layers: Sequence[int],
        bottleneck: bool,
        small_images: bool,
    ) -> None:
        super().__init__()
        if len(layers) != len(WIDTHS) or min(layers) < 1:
            raise ValueError(f"layers={list(layers)}: expected four numbers of 1 or more")

        block: type[Block] = BasicBlock
        if bottleneck:
            block = Bottleneck

        for name, part in backbone(in_channels, layers, block, small_stem=small_images).items():
            self.add_module(name, part)
        self.fc = nn.Linear(WIDTHS[-1] * block.expansion, num_classes)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, in_channels, H, W] float -> logits [B, num_classes]."""
        for part in self.children():
            inputs = part(inputs)
        return inputs
