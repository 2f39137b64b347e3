"""Augmentations of the library kornia."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from renate.data.transforms.images import scaled_images
from renate.errors import ConfigError, DataError, nearest
from renate.extras import load

WHO = "transform: Kornia"


class Kornia(nn.Module):
    """Change images [B, C, H, W] in [0, 1] by an augmentation of `kornia.augmentation` (Riba et
    al., 2020, https://arxiv.org/abs/1910.02190), for each image anew.

    Args:
        augmentation: Its name there: `RandomAffine`, `RandomPerspective`, `RandomGaussianBlur`, …
        settings: Its arguments, by name.
    """

    def __init__(self, augmentation: str, settings: Mapping[str, Any]) -> None:
        super().__init__()
        load("kornia", "kornia", WHO)
        library = load("kornia.augmentation", "kornia", WHO)
        base = library.AugmentationBase2D
        known = {
            name: found
            for name, found in vars(library).items()
            if isinstance(found, type) and issubclass(found, base) and found is not base
        }
        if augmentation not in known:
            raise ConfigError(
                f"augmentation={augmentation}: kornia has no such augmentation of images"
                f"{nearest(augmentation, known)}"
            )

        self.augmentation = augmentation
        try:
            self.change = known[augmentation](**settings)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"settings: kornia's {augmentation}: {error}") from error

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images, float [B, C, H', W'].

        Raises:
            DataError: The inputs aren't images of floats, or none that the augmentation takes.
        """
        inputs = scaled_images(inputs, f"Kornia {self.augmentation}")
        try:
            found: Tensor = self.change(inputs)
        except (TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"transform: Kornia {self.augmentation} doesn't take images "
                f"{list(inputs.shape[1:])}: {reason}"
            ) from error

        return found
