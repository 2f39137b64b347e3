"""Renate's ResNets, with its signatures; their weights have the names that Renate's have."""

from typing import Any

from torch import nn

from renate.compat.models.benchmarking_module import RenateBenchmarkingModule
from renate.errors import ConfigError, nearest
from renate.models.residual_blocks import WIDTHS, BasicBlock, Block, Bottleneck, backbone


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
        for name, value in (("cifar_stem", cifar_stem), ("gray_scale", gray_scale)):
            if value not in (True, False, None):
                raise ConfigError(
                    f"{type(self).__name__}: {name}={value!r}: expected True or False"
                )

        small_stem = self.small_stem if cifar_stem is None else cifar_stem
        super().__init__(
            embedding_size=WIDTHS[-1] * self.block.expansion,
            num_outputs=num_outputs,
            constructor_arguments={"cifar_stem": small_stem, "gray_scale": gray_scale},
            add_icarl_class_means=add_icarl_class_means,
        )
        channels = 1 if gray_scale else 3
        parts = backbone(channels, self.layers, self.block, small_stem=small_stem)
        self._backbone = nn.Sequential(parts)

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
