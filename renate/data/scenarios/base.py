"""How one data set is cut into chunks, each the data of one update."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from renate.data.batch import Columns, length
from renate.data.mapped.rows import select_rows
from renate.data.table import Table
from renate.errors import ConfigError, DataError
from renate.seeds import derive

MOST = 1_000_000  # chunks
SHOWN = 5  # labels and files that a line names


class Scenario(ABC):
    """A rule that cuts columns into `chunks` parts, the same for training, validation and test
    data.

    Attributes:
        chunks: How many.
        own: Columns that cutting needs, see `marks`, and no chunk has.
        cut_by: What test data lack of which a chunk has none.
        computes: Whether a chunk's inputs are computed, and not only chosen: a stream does that
            beside the training on the chunk before, so that it must depend on nothing but what
            `cut` is given.
        notes: What to tell the user, once the data are read.
    """

    computes: ClassVar[bool] = False
    own: ClassVar[tuple[str, ...]] = ()
    cut_by: ClassVar[str] = "its classes"

    def __init__(self, chunks: int) -> None:
        if not 1 <= chunks <= MOST:
            raise ConfigError(f"scenario.chunks={chunks}: expected 1 or more, {MOST:,} at most")
        self.chunks = chunks
        self.notes: list[str] = []

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
        if self.own:
            chunk = {name: column for name, column in chunk.items() if name not in self.own}

        if part == "test" and not length(chunk):
            raise DataError(
                f"chunk {index} of {self.chunks} has no test examples: data.test lacks "
                f"{self.cut_by}"
            )

        return chunk

    def marks(self, table: Table, key: str) -> Columns:
        """Return columns that only cutting needs, `own`, of rows as a source has read them.

        Args:
            table: The rows.
            key: What they are, for messages.
        """
        return {}

    def ends(self, table: Table) -> list[float]:
        """Return the time of the newest example of each chunk, where a scenario cuts by time: of
        each the newest are held out; none by itself.

        Args:
            table: The training data as a source has read them.
        """
        return []

    @abstractmethod
    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return a valid chunk."""

    def left_out(self, targets: Tensor, labels: Sequence[int | str]) -> list[str]:
        """Say what of training data that have classes no chunk has; nothing by itself.

        Args:
            targets: Class indices, [N].
            labels: Of the classes.
        """
        return []

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


def check_enough(columns: Columns, chunks: int, part: str) -> None:
    """Return if each chunk gets an example: a stream would end at the first that has none.

    Raises:
        DataError: There are fewer examples than chunks.
    """
    rows = length(columns)
    if rows < chunks:
        raise DataError(f"data.{part}: {rows} examples for scenario.chunks={chunks}")


def disjoint(columns: Columns, index: int, chunks: int, part: str, seed: int) -> Columns:
    """One of `chunks` disjoint random parts.

    Raises:
        DataError: There are fewer examples to train on than chunks.
    """
    if part == "train":  # a chunk may lack validation data
        check_enough(columns, chunks, part)
    generator = torch.Generator().manual_seed(derive(seed, f"parts of {part}"))
    parts = torch.tensor_split(torch.randperm(length(columns), generator=generator), chunks)
    return select_rows(columns, parts[index].sort().values)


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
