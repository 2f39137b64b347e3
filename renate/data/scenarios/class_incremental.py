"""Chunks of classes of their own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from renate.data.batch import Columns
from renate.data.mapped.rows import select_rows
from renate.data.scenarios.base import SHOWN, Scenario
from renate.errors import ConfigError, and_more
from renate.seeds import derive


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

        if groupings is not None and not (groupings and all(groupings)):
            raise ConfigError(
                f"scenario.groupings={[*groupings]}: expected a chunk or more, each of a class or "
                "more"
            )
        super().__init__(chunks if chunks is not None else len(groupings or []))

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
                "scenario=iid, rotation or permutation"
            )

        if self.groupings is not None:
            known = [c for group in self.groupings for c in group]
            if len(set(known)) != len(known) or any(not 0 <= c < num_classes for c in known):
                raise ConfigError(
                    f"scenario.groupings={[list(g) for g in self.groupings]}: expected each class "
                    f"at most once, from 0 to {num_classes - 1}"
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

    def left_out(self, targets: Tensor, labels: Sequence[int | str]) -> list[str]:
        """Say which labels are in no grouping, and how many examples have them."""
        if self.groupings is None:
            return []

        known = {c for group in self.groupings for c in group}
        lacking = [c for c in range(len(labels)) if c not in known]
        if not lacking:
            return []

        rows = int(torch.isin(targets, torch.tensor(lacking)).sum())
        named = ", ".join(repr(labels[c]) for c in lacking[:SHOWN])
        return [
            f"scenario.groupings: no chunk has the labels {named}{and_more(len(lacking) - SHOWN)}: "
            f"{rows:,} examples of data.train are left out"
        ]

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return the rows whose targets are among the chunk's classes, in their order.

        Raises:
            ConfigError: See `classes`.
        """
        wanted = torch.tensor(self.classes(index, seed=seed, num_classes=num_classes))
        return select_rows(columns, torch.isin(columns["targets"], wanted).nonzero()[:, 0])
