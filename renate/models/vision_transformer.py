"""Any encoder of images of transformers, with a head."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from renate.data.model_inputs import ModelInputs, single
from renate.errors import ConfigError
from renate.models.encoders import begun, check_pooling
from renate.models.prompting.pooled import PooledEncoder


class VisionTransformer(PooledEncoder):
    """An encoder of image patches (Dosovitskiy et al., 2021, https://arxiv.org/abs/2010.11929), the
    first of its outputs or their mean, and a linear head.

    Args:
        checkpoint: A folder that transformers has saved, or a name of the Hub; None draws random
            weights for `architecture`.
        architecture: `model_type`, as transformers knows it, and what its config takes; a
            checkpoint has its own.
        input_shape: Of an image, [C, H, W].
        num_classes: Outputs.
        pooling: `first` or `mean`.
        config: The checkpoint's own architecture, by which a version builds it without the
            checkpoint's files.

    Attributes:
        kept: Arguments that a version keeps besides those of its config.
    """

    def __init__(
        self,
        checkpoint: str | None,
        architecture: Mapping[str, Any],
        input_shape: Sequence[int],
        num_classes: int,
        pooling: str,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.pooling = check_pooling(pooling)
        if len(input_shape) != 3:
            raise ConfigError(
                f"model.input_shape={list(input_shape)}: expected images, [channels, height, width]"
            )

        channels, height, width = (int(size) for size in input_shape)
        self.encoder, self.kept = begun(
            checkpoint,
            architecture,
            config,
            image_size=[height, width],
            num_channels=channels,
        )
        self._check(checkpoint, channels, [height, width])
        self.head = nn.Linear(self.encoder.config.hidden_size, num_classes)

    def _check(self, checkpoint: str | None, channels: int, size: list[int]) -> None:
        """Check that images are those that the encoder cuts into patches.

        Raises:
            ConfigError: They aren't.
        """
        made = self.encoder.config
        expected = _pair(getattr(made, "image_size", size))
        if expected != size:
            raise ConfigError(
                f"model.checkpoint={checkpoint} takes images of {expected}, the data's are {size}: "
                f"data.image_size={expected} resizes them"
            )

        known = getattr(made, "num_channels", channels)
        if known != channels:
            raise ConfigError(
                f"model.checkpoint={checkpoint} takes images of {known} channels, the data's have "
                f"{channels}"
            )

        patch = _pair(getattr(made, "patch_size", 1))
        if size[0] % patch[0] or size[1] % patch[1]:
            raise ConfigError(
                f"model.architecture.patch_size={patch[0]}: images of {size} don't divide into "
                "such patches"
            )

    def arguments(self, inputs: ModelInputs) -> tuple[dict[str, Tensor], None]:
        """Return what the encoder takes of images, float [B, C, H, W]; all patches count."""
        return {"pixel_values": single(inputs, "model=vit")}, None


def _pair(size: int | Sequence[int]) -> list[int]:
    """A size as transformers has it, as height and width."""
    if isinstance(size, int):
        return [size, size]
    return list(size)
