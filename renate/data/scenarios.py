"""How one data set is cut into chunks, each the data of one update."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.errors import ConfigError, DataError
from renate.seeds import derive


class Scenario(ABC):
    """A rule that cuts columns into `chunks` parts, the same for training, validation and test
    data.

    Attributes:
        chunks: How many.
    """

    def __init__(self, chunks: int) -> None:
        if chunks < 1:
            raise ConfigError(f"scenario.chunks={chunks}: expected 1 or more")
        self.chunks = chunks

    def cut(
        self, columns: Columns, index: int, *, part: str, seed: int, num_classes: int
    ) -> Columns:
        """Return chunk `index` (from 0) of the columns of a part: `train`, `val` or `test`.

        Raises:
            ConfigError: There is no such chunk, or the scenario doesn't fit the data.
            DataError: The chunk has no test examples.
        """
        if not 0 <= index < self.chunks:
            raise ConfigError(
                f"job.chunk={index}: expected 0 to {self.chunks - 1}, the scenario has "
                f"{self.chunks} chunks"
            )

        chunk = self.take(columns, index, part, seed, num_classes)
        if part == "test" and not length(chunk):
            raise DataError(
                f"chunk {index} of {self.chunks} has no test examples: data.test lacks its classes"
            )

        return chunk

    @abstractmethod
    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return a valid chunk."""

    def classes(self, index: int, *, seed: int, num_classes: int) -> list[int] | None:
        """The class indices that a chunk is about; None where chunks don't differ in that."""
        return None


class NoScenario(Scenario):
    """The data is the chunk."""

    def __init__(self) -> None:
        super().__init__(1)

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return the columns as they are."""
        return columns


class ClassIncremental(Scenario):
    """Each chunk brings classes of its own.

    Args:
        chunks: Number of chunks of (nearly) equally many classes; null where `groupings` says.
        groupings: The class indices of each chunk; null where `chunks` says.
        shuffle: Whether the classes come in an order drawn by the seed, instead of by index.
    """

    def __init__(
        self, chunks: int | None, groupings: Sequence[Sequence[int]] | None, shuffle: bool
    ) -> None:
        if (chunks is None) == (groupings is None):
            raise ConfigError(
                "scenario: expected either scenario.chunks or scenario.groupings, the other null"
            )

        super().__init__(chunks if chunks is not None else len(groupings or []))
        if groupings is not None and not all(groupings):
            raise ConfigError(
                f"scenario.groupings={[list(g) for g in groupings]}: a chunk needs a class or more"
            )

        self.groupings = groupings
        self.shuffle = shuffle

    def classes(self, index: int, *, seed: int, num_classes: int) -> list[int]:
        """Return the chunk's class indices: its grouping, or its (nearly) equal share of all
        classes.

        Raises:
            ConfigError: The target has no classes, there are fewer of them than chunks, or
                `groupings` has one twice or one that doesn't exist.
        """
        if not num_classes:
            raise ConfigError(
                "scenario=class_incremental cuts by class, and what is predicted here has none: "
                "scenario=iid, "
                "rotation or permutation"
            )

        if self.groupings is not None:
            known = [c for group in self.groupings for c in group]
            if len(set(known)) != len(known) or any(not 0 <= c < num_classes for c in known):
                raise ConfigError(
                    f"scenario.groupings={[list(g) for g in self.groupings]}: expected each class "
                    "at most once, "
                    f"from 0 to {num_classes - 1}"
                )
            return list(self.groupings[index])

        if self.chunks > num_classes:
            raise ConfigError(
                f"scenario.chunks={self.chunks}: the data has only {num_classes} classes"
            )

        order = torch.arange(num_classes)
        if self.shuffle:
            order = torch.randperm(
                num_classes, generator=torch.Generator().manual_seed(derive(seed, "classes"))
            )

        return [int(c) for c in torch.tensor_split(order, self.chunks)[index]]

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return the rows whose targets are among the chunk's classes, in their order.

        Raises:
            ConfigError: See `classes`.
        """
        wanted = torch.tensor(self.classes(index, seed=seed, num_classes=num_classes))
        return select(columns, torch.isin(columns["targets"], wanted).nonzero()[:, 0])


class IID(Scenario):
    """Each chunk is a random part of the training data; every chunk is measured on the whole test
    set.

    Args:
        chunks: Number of chunks, disjoint and of (nearly) equal size.
    """

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return one of the disjoint random parts, its rows in their order; all rows where `part`
        is `test`.
        """
        return columns if part == "test" else disjoint(columns, index, self.chunks, part, seed)


def disjoint(columns: Columns, index: int, chunks: int, part: str, seed: int) -> Columns:
    """One of `chunks` disjoint random parts."""
    generator = torch.Generator().manual_seed(derive(seed, f"parts of {part}"))
    parts = torch.tensor_split(torch.randperm(length(columns), generator=generator), chunks)
    return select(columns, parts[index].sort().values)


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

    def __init__(
        self, chunks: int | None, degrees: Sequence[float] | None, max_degrees: float, full: bool
    ) -> None:
        if (chunks is None) == (degrees is None):
            raise ConfigError(
                "scenario: expected either scenario.chunks or scenario.degrees, the other null"
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


def tensor_of(columns: Columns, scenario: str) -> Tensor:
    """Return the inputs of a scenario that changes them.

    Raises:
        DataError: They are several, or of different lengths.
    """
    inputs = columns.get("inputs")
    if not isinstance(inputs, Tensor):
        raise DataError(
            f"scenario={scenario} needs inputs that are one tensor, these are a mapping: "
            "scenario=iid or class_incremental"
        )
    return inputs


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

    for begin in range(0, len(images), 4096):
        part = images[begin : begin + 4096].float()
        turned = F.grid_sample(part, grid.expand(len(part), -1, -1, -1), align_corners=False)
        if not images.is_floating_point():
            turned = turned.round_()
        if images.dtype == torch.uint8:
            turned = turned.clamp_(0, 255)
        out[begin : begin + 4096] = turned

    return out


class Permutation(Scenario):
    """Each chunk shows the inputs' values in an order of its own, the first as they are.

    Args:
        chunks: Number of chunks.
        full: Whether each chunk has all of the training data, as in the papers, or a disjoint part.
    """

    def __init__(self, chunks: int, full: bool) -> None:
        super().__init__(chunks)
        self.full = full

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return rows with the values of each input in the chunk's order, those of chunk 0 as they
        are: where `full` is off a disjoint part of them, but of the test data always all.
        """
        if not self.full and part != "test":
            columns = disjoint(columns, index, self.chunks, part, seed)
        if index == 0:
            return columns

        inputs = tensor_of(columns, "permutation")
        flat = inputs.reshape(len(inputs), -1)
        generator = torch.Generator().manual_seed(derive(seed, f"permutation {index}"))
        order = torch.randperm(flat.shape[1], generator=generator)

        return columns | {"inputs": flat.index_select(1, order).reshape(inputs.shape)}
