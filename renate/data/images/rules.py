"""What becomes of images: their size, how they are fitted into it, and what can't be decoded."""

from collections.abc import Sequence
from dataclasses import dataclass

from renate.data.images.decode import FITS
from renate.errors import ConfigError, nearest

CORRUPT = ("error", "skip")


@dataclass(frozen=True)
class ImageRules:
    """How images are decoded.

    Attributes:
        size: [height, width] to resize to; None takes images as they are, all of one size.
        fit: One of `FITS`, see `open_image`.
        corrupt: What becomes of images that can't be decoded: `error`, or `skip` leaves them out.
    """

    size: Sequence[int] | None = None
    fit: str = "stretch"
    corrupt: str = "error"

    def __post_init__(self) -> None:
        size = self.size
        if size is not None and (not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1):
            raise ConfigError(f"data.image_size={size}: expected [height, width], both 1 or more")

        choices = {"image_fit": (self.fit, FITS), "corrupt": (self.corrupt, CORRUPT)}
        for key, (value, known) in choices.items():
            if value not in known:
                raise ConfigError(
                    f"data.{key}={value}: expected one of {', '.join(known)}"
                    f"{nearest(str(value), known)}"
                )

        if self.size is None and self.fit != "stretch":
            raise ConfigError(
                f"data.image_fit={self.fit}: to what size? data.image_size=[height,width] says it"
            )

    @property
    def shape(self) -> tuple[int, ...] | None:
        """(height, width), or None."""
        return None if self.size is None else tuple(self.size)

    @property
    def skip(self) -> bool:
        """Whether images that can't be decoded are left out."""
        return self.corrupt == "skip"
