"""Chunks that show images under rotations."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from renate.data.batch import Columns
from renate.data.scenarios.base import Scenario, disjoint, tensor_of
from renate.errors import ConfigError, DataError
from renate.seeds import derive

ROWS = 256  # turned at a time: what is made on the way stays in the cache


class Rotation(Scenario):
    """Each chunk shows the images under one rotation; every chunk is measured on the whole test
    set, rotated.

    Args:
        chunks: Number of chunks; null where `degrees` says.
        degrees: The angle of each chunk, counter-clockwise; null draws them from U(0, max_degrees)
            by the seed.
        max_degrees: See `degrees`.
        full: Whether each chunk has all of the training data, as in the papers, or a disjoint part.
    """

    computes = True

    def __init__(
        self, chunks: int | None, degrees: Sequence[float] | None, max_degrees: float, full: bool
    ) -> None:
        if (chunks is None) == (degrees is None):
            raise ConfigError(
                "scenario: expected either scenario.chunks or scenario.degrees, the other null"
            )

        if degrees is not None and not (degrees and all(map(_is_angle, degrees))):
            raise ConfigError(
                f"scenario.degrees={[*degrees]}: expected the angle of each chunk, -360 to 360"
            )
        super().__init__(chunks if chunks is not None else len(degrees or []))
        if not 0 < max_degrees <= 360:
            raise ConfigError(
                f"scenario.max_degrees={max_degrees}: expected above 0 and at most 360"
            )

        self.degrees = degrees
        self.max_degrees = max_degrees
        self.full = full

    def angle(self, index: int, seed: int) -> float:
        """Return a chunk's rotation in degrees, counter-clockwise: the one given, or one drawn by
        the seed.
        """
        if self.degrees is not None:
            return float(self.degrees[index])
        generator = torch.Generator().manual_seed(derive(seed, "angles"))
        return (
            float(torch.rand(self.chunks, generator=generator, dtype=torch.float64)[index])
            * self.max_degrees
        )

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return rows with their images [N, C, H, W] rotated by the chunk's angle: where `full` is
        off a disjoint part of them, but of the test data always all.

        Raises:
            DataError: The inputs aren't images.
        """
        if tensor_of(columns, "rotation").ndim != 4:
            raise DataError(
                "scenario=rotation needs images [C, H, W], the inputs are "
                f"{list(columns['inputs'].shape[1:])}"
            )

        if not self.full and part != "test":
            columns = disjoint(columns, index, self.chunks, part, seed)
        return columns | {"inputs": rotate(columns["inputs"], self.angle(index, seed))}


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Rotate [N, C, H, W] counter-clockwise about the centre: bilinear, zeros outside, same
    dtype and shape.
    """
    height, width = images.shape[-2:]
    radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    cos = float(radians.cos())
    sin = float(radians.sin())
    # grid_sample works in units of half the height and width; the ratio undoes that for images that
    # aren't square.
    matrix = torch.tensor(
        [[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]], dtype=torch.float32
    )
    grid = F.affine_grid(matrix[None], [1, 1, height, width], align_corners=False)
    out = torch.empty_like(images)

    for begin in range(0, len(images), ROWS):
        part = images[begin : begin + ROWS].float()
        turned = F.grid_sample(part, grid.expand(len(part), -1, -1, -1), align_corners=False)
        if not images.is_floating_point():
            turned = turned.round_()
        if images.dtype == torch.uint8:
            turned = turned.clamp_(0, 255)
        out[begin : begin + ROWS] = turned

    return out


def _is_angle(value: object) -> bool:
    """Whether a config's value is one; what is no number at all is told by its kind."""
    return not isinstance(value, int | float) or -360 <= value <= 360
