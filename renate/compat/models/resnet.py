"""Renate's ResNets, with its signatures; their weights have the names that Renate's have."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from renate.compat.models.benchmarking_module import RenateBenchmarkingModule
from renate.errors import ConfigError, nearest

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


def _backbone(
    channels: int, layers: Sequence[int], block: type[Block], *, small_stem: bool
) -> nn.Sequential:
    """The network below the heads, its parts named as torchvision names them."""
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
    return nn.Sequential(parts)


class ResNet(RenateBenchmarkingModule):
    """A residual network with a head for each task.

    Args:
        num_outputs: Outputs of each head.
        cifar_stem: Whether the stem is a 3×3 convolution of stride 1, for images of 32 × 32 or so;
            else a 7×7 one of stride 2 and max-pooling, for those of ImageNet's size. None takes
            the class's own.
        gray_scale: Whether images have one channel, not three.
        add_icarl_class_means: Whether the weights hold a matrix for iCaRL, as Renate's do.
        **as_built: Further arguments of Renate's, at the values that are built here.

    Raises:
        ConfigError: Another value of one of these.
    """

    block: type[Block]
    layers: tuple[int, ...]
    small_stem = False

    def __init__(
        self,
        num_outputs: int = 10,
        cifar_stem: bool | None = None,
        gray_scale: bool = False,
        add_icarl_class_means: bool = True,
        **as_built: Any,
    ) -> None:
        self._check(as_built)
        small_stem = self.small_stem if cifar_stem is None else cifar_stem
        super().__init__(
            embedding_size=WIDTHS[-1] * self.block.expansion,
            num_outputs=num_outputs,
            constructor_arguments={"cifar_stem": small_stem, "gray_scale": gray_scale},
            add_icarl_class_means=add_icarl_class_means,
        )
        channels = 1 if gray_scale else 3
        self._backbone = _backbone(channels, self.layers, self.block, small_stem=small_stem)

    def _check(self, as_built: dict[str, Any]) -> None:
        built = {
            "block": self.block.__name__,
            "layers": list(self.layers),
            "zero_init_residual": False,
            "groups": 1,
            "width_per_group": 64,
            "replace_stride_with_dilation": None,
            "norm_layer": "BatchNorm2d",
            "prediction_strategy": None,
        }
        name = type(self).__name__
        for key, value in as_built.items():
            if key not in built:
                raise ConfigError(f"{name} has no argument '{key}'{nearest(key, built)}")
            plain = getattr(value, "__name__", value)
            if (list(plain) if isinstance(plain, tuple) else plain) != built[key]:
                raise ConfigError(f"{name}: {key}={value!r}: this package has only {built[key]!r}")


class ResNet18(ResNet):
    """18 layers, for images of ImageNet's size."""

    block = BasicBlock
    layers = (2, 2, 2, 2)


class ResNet34(ResNet):
    """34 layers, for images of ImageNet's size."""

    block = BasicBlock
    layers = (3, 4, 6, 3)


class ResNet50(ResNet):
    """50 layers, for images of ImageNet's size."""

    block = Bottleneck
    layers = (3, 4, 6, 3)


class ResNet18CIFAR(ResNet18):
    """18 layers, for images of 32 × 32 or so."""

    small_stem = True


class ResNet34CIFAR(ResNet34):
    """34 layers, for images of 32 × 32 or so."""

    small_stem = True


class ResNet50CIFAR(ResNet50):
    """50 layers, for images of 32 × 32 or so."""

    small_stem = True
