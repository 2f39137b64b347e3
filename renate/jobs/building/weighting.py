"""What weighs examples and classes in training: `data.weight` and `loss.weight=balanced`."""

import torch
from torch import Tensor

from renate.data.batch import WEIGHTS, Columns
from renate.errors import ConfigError
from renate.memory.store.memory import Memory
from renate.problems.base import Problem
from renate.updaters.base import Updater

BALANCED = "balanced"


def class_weights(problem: Problem, train: Columns) -> Tensor:
    """Return n / (k n_c) for each class c, float32 [K], as scikit-learn's `balanced` has it.

    n is the number of the training examples, n_c that of class c, and k the number of
    classes that they have. Classes of which there are none, which only the memory has, weigh 1.

    Raises:
        ConfigError: What is predicted isn't one of several classes.
    """
    if not problem.classes:
        raise ConfigError(
            f"loss.weight={BALANCED} is about classes, problem={problem.name} has none"
        )

    counts = torch.bincount(train["targets"], minlength=problem.classes).double()
    there = counts > 0
    weights = torch.ones(problem.classes, dtype=torch.float64)
    weights[there] = counts.sum() / (there.sum() * counts[there])
    return weights.float()


def balance(updater: Updater, asked: object, rows: Columns) -> None:
    """Let `loss.weight=balanced` be of what an updater trains on, where that isn't the new data.

    Args:
        updater: Its criterion's weights are changed in place.
        asked: `loss.weight`.
        rows: What it trains on.
    """
    if asked == BALANCED:
        weight: Tensor = updater.criterion.get_buffer("weight")
        weight.copy_(class_weights(updater.problem, rows))


def check_weights(updater: Updater, memory: Memory, train: Columns, mix: object) -> None:
    """Return if examples that have weights meet an updater that weighs them, and past examples that
    have some too.

    Args:
        updater: Learns from them.
        memory: Has past examples.
        train: The new ones.
        mix: What mixes examples, `transform.mix`; None does not.

    Raises:
        ConfigError: They don't, or are mixed.
    """
    weighed = WEIGHTS in train
    if weighed and mix is not None:
        raise ConfigError("data.weight: mixed examples have no weight: transform.mix=null")
    if weighed and not updater.weighs:
        raise ConfigError(
            f"data.weight: {type(updater).__name__} doesn't weigh examples; those that do set "
            "`weighs`, as updater=er"
        )

    kept = len(memory) > 0 and WEIGHTS in memory.columns()
    if len(memory) and weighed and not kept:
        raise ConfigError(
            "data.weight: the examples that the state's memory keeps have no weights: leave it "
            "out, or start another state"
        )
    if kept and not weighed:
        raise ConfigError(
            "data.weight=null: the examples that the state's memory keeps have weights: name the "
            "column of these too, or start another state"
        )
