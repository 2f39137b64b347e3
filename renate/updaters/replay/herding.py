"""Which examples stand best for a class."""

import torch
from torch import Tensor


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
