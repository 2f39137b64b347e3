"""Which examples stand best for a class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from renate.errors import ConfigError
from renate.memory.store.memory import Memory
from renate.problems.base import Label


def herded(features: Tensor, count: int) -> Tensor:
    """Return rows, int64 [count], whose mean comes nearest to that of all, however many of the
    first of them are taken (Rebuffi et al., 2017, https://arxiv.org/abs/1611.07725, algorithm 4).

    Args:
        features: Of the examples of one class, [N, D].
        count: How many to choose, at most N.
    """
    features = features.double()
    mean = features.mean(0)
    squares = features.square().sum(1)
    total = torch.zeros_like(mean)
    free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    rows: list[int] = []

    for number in range(1, count + 1):
        # Of ‖number · mean - total - f‖² what depends on f
        distances = squares - 2 * features @ (number * mean - total)
        row = int(distances.masked_fill(~free, torch.inf).argmin())
        rows.append(row)
        free[row] = False
        total += features[row]

    return torch.tensor(rows, dtype=torch.int64)


def herded_by_class(features: Tensor, targets: Tensor, most: int) -> Tensor:
    """Return the rows that `herded` ranks best of each class, one class after the other, int64 [k].

    Args:
        features: Of the examples, [N, D].
        targets: Their classes, int64 [N].
        most: Of each class.
    """
    chosen = []
    for label in range(int(targets.max()) + 1):
        rows = (targets == label).nonzero().flatten()
        if len(rows):
            chosen.append(rows[herded(features[rows], min(most, len(rows)))])

    return torch.cat(chosen)


def check_exemplars(memory: Memory, known: Tensor, labels: Sequence[Label]) -> None:
    """Return if a memory has an example of each class that a model of another updater's knows.

    Args:
        memory: What that updater left; one that keeps nothing has no exemplars, and needs none.
        known: The classes, bool [K].
        labels: Of the classes.

    Raises:
        ConfigError: It lacks some.
    """
    if memory.capacity == 0:
        return

    lacking = known.clone()
    if len(memory):
        lacking[memory.columns()["targets"].unique().to(lacking.device)] = False
    if bool(lacking.any()):
        first = labels[int(lacking.int().argmax())]
        raise ConfigError(
            "updater=icarl answers by exemplars, and the state's memory has none of "
            f"{int(lacking.sum())} classes that its model knows, as {first!r}: give examples of "
            "them in data.train too, take updater=lwf, or start a new state"
        )
