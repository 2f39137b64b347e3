"""What residual networks are made of, by the names that torchvision's weights have."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """What a stage is made of.

    Attributes:
        expansion: How many times as many channels come out as its 3×3 convolutions have.
    """

    expansion = 1

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()


class BasicBlock(Block):
    """Two 3×3 convolutions around a shortcut (He et al., 2016, https://arxiv.org/abs/1512.03385,
    figure 5 left).
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__(width_in, width, stride)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(width_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width_in, H, W] float -> [B, width, H / stride, W / stride], both rounded up."""
        out = self.relu(self.bn1(self.conv1(x)))
        result: Tensor = self.relu(self.bn2(self.conv2(out)) + self.downsample(x))
        return result


class Bottleneck(Block):
    """A 3×3 convolution between two of 1×1, around a shortcut (figure 5 right); the stride is that
    of the 3×3 one, as torchvision has it.
    """

    expansion = 4

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__(width_in, width, stride)
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(width_in, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width_in, H, W] float -> [B, 4 width, H / stride, W / stride], both rounded up."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        result: Tensor = self.relu(self.bn3(self.conv3(out)) + self.downsample(x))
        return result


def _shortcut(width_in: int, width: int, stride: int) -> nn.Module:
    if stride == 1 and width_in == width:
        return nn.Identity()

    return nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))


def backbone(
    channels: int, layers: Sequence[int], block: type[Block], *, small_stem: bool
) -> OrderedDict[str, nn.Module]:
    """Return the layers below the head, in their order, by torchvision's names.

    Args:
        channels: Of an image.
        layers: Blocks of each of the four stages.
        block: What they are.
        small_stem: Whether the stem is a 3×3 convolution of stride 1, for images of 32 × 32 or
            so; else a 7×7 one of stride 2 and max-pooling, for those of ImageNet's size.
    """
    if small_stem:
        conv1 = nn.Conv2d(channels, WIDTHS[0], 3, 1, 1, bias=False)
        maxpool: nn.Module = nn.Identity()
    else:
        conv1 = nn.Conv2d(channels, WIDTHS[0], 7, 2, 3, bias=False)
        maxpool = nn.MaxPool2d(3, 2, 1)

    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=conv1, bn1=nn.BatchNorm2d(WIDTHS[0]), relu=nn.ReLU(), maxpool=maxpool
    )
    before = WIDTHS[0]
    for stage, (width, count) in enumerate(zip(WIDTHS, layers, strict=True)):
        blocks = []
        for number in range(count):
            stride = 2 if stage > 0 and number == 0 else 1
            blocks.append(block(before, width, stride))
            before = width * block.expansion
        parts[f"layer{stage + 1}"] = nn.Sequential(*blocks)

    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()

    return parts
