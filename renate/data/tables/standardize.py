"""Columns of numbers on one scale."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from renate.data.base import Encoder
from renate.data.mapped.rows import bytes_of_row, folder_of, mapped_empty, parts
from renate.errors import DataError


@dataclass(kw_only=True)
class Standardize(Encoder):
    """Subtracts each column's mean and divides by its standard deviation, as training has them.

    A column that is constant in training is only shifted.

    Attributes:
        mean: Of each column, float64 [C].
        std: Of each column, float64 [C], above 0.
    """

    mean: Tensor = field(init=False)
    std: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.std = torch.ones(0, dtype=torch.float64)

    def fit(self, raw: Any) -> None:
        """Learn mean and deviation of vectors [N, C]."""
        vectors = _vectors(raw)
        if folder_of(vectors) is None:
            values = vectors.double()
            self.mean = values.mean(0)
            std = values.std(0, correction=0)
            largest = values.abs().amax(0)
        else:
            self.mean, std, largest = _by_parts(vectors)

        # Rounding leaves a constant column a deviation that is none
        self.std = torch.where(std > 1e-12 * largest, std, 1.0)

    def encode(self, raw: Any) -> Tensor:
        """Return float32 [N, C] of vectors [N, C].

        Raises:
            DataError: They are no vectors of as many columns.
        """
        values = _vectors(raw)
        if values.shape[1] != len(self.mean):
            raise DataError(
                f"inputs have {values.shape[1]} columns, the scales that were kept are of "
                f"{len(self.mean)}"
            )

        folder = folder_of(values)
        if folder is None:
            return self._scaled(values)

        found = mapped_empty(folder, len(values), tuple(values.shape[1:]), torch.float32)
        for part in parts(len(values), bytes_of_row(values)):
            found[part] = self._scaled(values[part])
        return found

    def _scaled(self, values: Tensor) -> Tensor:
        return ((values.double() - self.mean) / self.std).float()

    def state(self) -> dict[str, Any]:
        """Return `mean` and `std`."""
        return {"mean": self.mean, "std": self.std}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back `mean` and `std`.

        Raises:
            ValueError: They are no scales of as many columns.
        """
        mean = state["mean"]
        std = state["std"]
        fits = mean.dtype == std.dtype == torch.float64 and mean.shape == std.shape
        finite = fits and bool(mean.isfinite().all() and std.isfinite().all())
        if not finite or mean.ndim != 1 or not bool((std > 0).all()):
            raise ValueError("mean and std are no scales of columns")

        self.mean = mean
        self.std = std


def _by_parts(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, deviation and largest size of each column of vectors that are larger than memory."""
    slices = list(parts(len(vectors), bytes_of_row(vectors)))
    columns = vectors.shape[1]
    # One room takes all parts: with one for each, the allocator kept as much as the whole table
    room = torch.empty((slices[0].stop, columns), dtype=torch.float64)
    found = torch.empty((3, len(slices), columns), dtype=torch.float64)
    sums, squares, sizes = found

    for place, part in enumerate(slices):
        own = room[: part.stop - part.start].copy_(vectors[part])
        torch.sum(own, 0, out=sums[place])
        torch.amax(own.abs_(), 0, out=sizes[place])

    mean = sums.sum(0) / len(vectors)
    for place, part in enumerate(slices):
        own = room[: part.stop - part.start].copy_(vectors[part])
        torch.sum(own.sub_(mean).square_(), 0, out=squares[place])

    return mean, (squares.sum(0) / len(vectors)).sqrt(), sizes.amax(0)


def _vectors(raw: Any) -> Tensor:
    if not isinstance(raw, Tensor) or raw.ndim != 2:
        shape = list(getattr(raw, "shape", ()))[1:]
        raise DataError(
            f"data.standardize=true takes columns of numbers, these inputs are of shape {shape}: "
            "for images a transform does it"
        )
    return raw
