"""Which examples stand best for a class."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.batch import Columns
from renate.errors import ConfigError
from renate.memory.store.memory import Memory
from renate.problems.base import Label
from renate.updaters.base import Updater
from renate.updaters.shared.features import directions_of
from renate.updaters.shared.passes import seen_as


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
        memory: What that updater left.
        known: The classes, bool [K].
        labels: Of the classes.

    Raises:
        ConfigError: It lacks some.
    """
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


def directions_in(updater: Updater, model: nn.Module, columns: Columns) -> Tensor:
    """Return the features of examples as they are measured, each of length 1, float32 [N, D] on the
    CPU; see `seen_as` and `directions_of`.
    """
    outputs = updater.problem.outputs
    return seen_as(updater, model, columns, lambda b: directions_of(model, b.inputs, outputs))


def exemplars_among(updater: Updater, model: nn.Module, data: Columns, classes: int) -> Tensor:
    """Return the rows of new examples that an updater's memory is offered, see `herded_by_class`.

    Args:
        updater: Whose.
        model: Gives the features.
        data: The new examples.
        classes: How many the memory has room for; of each as many examples as of another.
    """
    features = directions_in(updater, model, data)
    most = len(features)
    if updater.memory.capacity is not None:
        most = -(-updater.memory.capacity // classes)
    return herded_by_class(features, data["targets"], most)


def exemplar_means(updater: Updater, model: nn.Module) -> Tensor:
    """Return the direction of the mean of each class's examples in an updater's memory, [K, D], 0
    where there is none.
    """
    exemplars = updater.memory.columns()
    features = directions_in(updater, model, exemplars)
    sums = features.new_zeros(updater.problem.outputs, features.shape[1])
    return F.normalize(sums.index_add_(0, exemplars["targets"], features), dim=1)
