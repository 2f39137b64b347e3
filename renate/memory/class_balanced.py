"""As many examples of each class as of every other."""

from typing import Any

import numpy as np
from torch import Tensor

from renate.data.batch import Columns
from renate.errors import ConfigError, CorruptError, DataError
from renate.memory.base import Plan, Policy, Values
from renate.memory.quotas import Quotas
from renate.memory.random import KEYS, Floats, Ints, Numbers, by_age, uniform
from renate.memory.top_keys import check_keys
from renate.state.contents import LABELS


class ClassBalanced(Policy):
    """Keeps equally many examples of every class seen, or all of a class that has fewer.

    Of each class it keeps a uniform sample: those with the largest keys, which are random numbers.
    Contents depend on ids and classes alone, not on batches or interruptions, and what shards keep
    comes down to exactly what one process would keep. A shard doesn't know the classes of the
    others' examples: within an epoch it may hold `capacity` of its own; at its end they let go
    together.

    Args:
        capacity: Most examples to keep.
        greedy: Of each class keep those that came first, in place of a sample, as the code of GDumb
            does (Prabhu et al., 2020, https://doi.org/10.1007/978-3-030-58536-5_31). Where a new
            class takes room, the paper lets random examples go, this one those that came last.
    """

    shared = True

    def __init__(self, capacity: int, greedy: bool) -> None:
        super().__init__(capacity)
        self.greedy = greedy
        self.numbers = Numbers(self._keys_of)
        self.quotas = Quotas(capacity)

    @property
    def name(self) -> str:
        """What a state calls it; the greedy form has a name of its own, since its keys are made
        otherwise.
        """
        return "GreedyClassBalanced" if self.greedy else super().name

    def check(self, classes: int) -> None:
        """Return if there is room for an example of each class."""
        if not classes:
            raise ConfigError(
                "memory=class_balanced keeps as many examples of each class, and what is predicted "
                "has none: memory=reservoir"
            )
        if self.capacity is not None and self.capacity < classes:
            raise ConfigError(
                f"memory.capacity={self.capacity}: expected {classes} or more, an example of each "
                "class: those of some would all be let go"
            )

    def _keys_of(self, seed: int, ids: range) -> Floats:
        if self.greedy:
            return 1 - by_age(ids)
        return uniform(KEYS, seed, ids)

    def begin(self, seed: int, counts: list[int]) -> None:
        """Take the seed, of the keys as well as of the classes' random numbers."""
        super().begin(seed, counts)
        self.quotas.seed = seed

    def assign(self, ids: range, columns: Columns, size: int) -> Plan:
        """Decide by keys and classes: once all slots are taken, an example that enters takes the
        place of the smallest key in the fullest class.

        Raises:
            ConfigError: The targets are no classes.
            DataError: A class is below 0.
        """
        keys = self.numbers.take(self.seed, ids)
        return self.quotas.offer(keys, classes_of(columns["targets"]))

    def values(self) -> Values:
        """Return `key`, float64, and `label`, int64, of each example kept, [size] both."""
        key, label = self.quotas.held()
        return {"key": key, "label": label}

    def restore(self, values: Values) -> None:
        """Take back keys and labels.

        Raises:
            CorruptError: A key isn't between 0 and 1, or a label is no class.
        """
        label = values["label"]
        check_keys(values["key"])
        if not ((label >= 0) & (label < LABELS)).all():
            where = "memory/index.safetensors"
            raise CorruptError(f"{where}: a label is no class; bring it back from a copy")
        self.quotas.set(values["key"], label)

    def select(self, values: Values, size: int) -> Ints:
        """Return which `capacity` examples to keep, spread over the classes evenly, int64,
        ascending.
        """
        return self.quotas.best(values["key"], values["label"])


def classes_of(targets: Tensor) -> Ints:
    """Return targets as classes, int64 [n].

    Raises:
        ConfigError: They are no classes.
        DataError: One is below 0.
    """
    if targets.ndim != 1 or targets.is_floating_point() or targets.is_complex():
        raise ConfigError(
            "memory=class_balanced keeps as many examples of each class, but the targets are "
            f"{targets.dtype} {list(targets.shape[1:])}, no classes: memory=reservoir"
        )

    classes: np.ndarray[Any, Any] = targets.cpu().numpy()
    if len(classes) and classes.min() < 0:
        raise DataError(f"memory=class_balanced: a target is {classes.min()}, expected 0 or more")

    return classes.astype(np.int64, copy=False)
