"""Chunks of classes of their own, and a few examples of all others."""

import torch
from torch import Tensor

from renate.data.batch import Columns, length
from renate.data.mapped.rows import select_rows
from renate.data.scenarios.class_incremental import ClassIncremental
from renate.errors import ConfigError
from renate.seeds import derive


class BlurryClassIncremental(ClassIncremental):
    """Each chunk brings classes of its own, and some examples of every other chunk's classes
    (Bang et al., 2021, https://arxiv.org/abs/2103.17230: Blurry-CIL; their M is 100 times `blur`).

    Chunks are measured on their own classes.

    Args:
        chunks: See `ClassIncremental`.
        groupings: See `ClassIncremental`.
        shuffle: See `ClassIncremental`.
        blur: The fraction of each class's examples that the other chunks get, as many each.
    """

    def __init__(
        self,
        chunks: int | None,
        groupings: list[list[int]] | None,
        shuffle: bool,
        blur: float,
    ) -> None:
        super().__init__(chunks, groupings, shuffle)
        if not 0 <= blur < 1:
            raise ConfigError(f"scenario.blur={blur}: expected 0 to below 1")
        if blur and self.chunks == 1:
            raise ConfigError(f"scenario.blur={blur}: one chunk has no others: scenario.chunks=2")
        self.blur = blur

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return the rows of a chunk, in their order; of test data those of its own classes alone.

        Raises:
            ConfigError: See `classes`.
        """
        if part == "test":
            return super().take(columns, index, part, seed, num_classes)

        chosen = torch.zeros(length(columns), dtype=torch.bool)
        for chunk in range(self.chunks):
            for label in self.classes(chunk, seed=seed, num_classes=num_classes):
                rows = (columns["targets"] == label).nonzero()[:, 0]
                chosen[self._dealt(rows, chunk, label, part, seed)[index]] = True

        return select_rows(columns, chosen.nonzero()[:, 0])

    def _dealt(self, rows: Tensor, home: int, label: int, part: str, seed: int) -> list[Tensor]:
        """One class's rows, chunk by chunk: most stay at home, the rest is dealt to the others."""
        generator = torch.Generator().manual_seed(derive(seed, f"blur of {part}", label))
        mixed = rows[torch.randperm(len(rows), generator=generator)]
        away = round(self.blur * len(rows))
        parts = [*torch.tensor_split(mixed[:away], max(1, self.chunks - 1))]
        # Which of the others get one more differs from class to class
        turn = label % max(1, len(parts))
        parts = parts[turn:] + parts[:turn]
        dealt = [*parts[:home], mixed[away:], *parts[home:]]
        return dealt[: self.chunks]
