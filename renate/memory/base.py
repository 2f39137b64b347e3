"""What a memory's policy is: it says which examples are kept, and nothing else."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from renate.data.batch import Columns
from renate.errors import ConfigError, StateError
from renate.memory.random import Ints

Plan = tuple[Ints, Ints]
Moves = tuple[Ints, Ints, int]
Values = dict[str, np.ndarray[Any, Any]]


class Policy(ABC):
    """Which of the examples that a memory is offered it keeps, and in which slots.

    Only `assign` is required. What must outlive an update is said per example kept (`values` and
    `restore`): the memory saves it, checkpoints it, and moves it along with the examples. Random
    numbers are functions of the seed and of ids (`renate/memory/random.py`), so that contents don't
    depend on how a run was cut into batches or interrupted.

    Where several processes train one model, each has a shard of the memory and its own policy. A
    policy that sets `shared` promises that its shards, brought together, are what one process would
    keep. It then needs `select`, if it has a capacity.

    Args:
        capacity: Most examples to keep; None is no bound.

    Attributes:
        forgets: Whether anything that was offered may be gone later.
        shared: Whether it knows how to be one memory in several shards.
        needs: Per-example fields that it decides by, which the updater must offer.
        seed: Of its random numbers; set by the memory, part of the state.
    """

    forgets: ClassVar[bool] = True
    shared: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 0

    def __init__(self, capacity: int | None) -> None:
        is_count = capacity is None or (1 <= capacity < math.inf and capacity == int(capacity))
        if not is_count:
            raise ConfigError(
                f"memory.capacity={capacity}: expected a whole number of 1 or more, or memory=none"
            )
        self.capacity = capacity

    @property
    def name(self) -> str:
        """What a state calls it: another name's examples are not taken over."""
        return type(self).__name__

    def check(self, classes: int) -> None:  # noqa: B027 (most keep any examples)
        """Return if it can keep what it is for; asked before anything is trained.

        Args:
            classes: How many classes there are; 0 where what is predicted has none.

        Raises:
            ConfigError: It can't.
        """

    @abstractmethod
    def assign(self, ids: range, columns: Columns, size: int) -> Plan:
        """Decide where the next examples go.

        Args:
            ids: Of the examples, n; each is given to one example only, whatever the process.
            columns: The examples, n rows of inputs, targets and fields, on any device.
            size: Examples that the memory holds, in the slots 0 … size - 1.

        Returns:
            Slots, unique, and the offered row that each takes, int64 [k] both. A slot beyond the
            ones held follows on the last one without a gap.
        """

    def values(self) -> Values:
        """What must be saved of each example kept, by name, [size] each; none by itself.

        Names and dtypes are always the same, also before the first example; the names `segment`
        and `row` are taken.
        """
        return {}

    def restore(self, values: Values) -> None:
        """Take back what `values` returned, perhaps of other examples or in another order."""
        assert not values, f"{self.name} has values that it can't restore"

    def select(self, values: Values, size: int) -> Ints:
        """Return which `capacity` of more examples to keep, by their values alone, ascending.

        Args:
            values: Of all of them, as `values` returned them.
            size: How many there are.

        Raises:
            StateError: The policy can't tell.
        """
        raise StateError(
            f"memory.capacity={self.capacity}: a {self.name} can't tell which of {size} examples "
            "to let go; keep the capacity of the state"
        )

    def resize(self, capacity: int | None, size: int, count: int) -> None:
        """Called before the examples of a state are taken over, whose capacity may be another.

        Args:
            capacity: That of the state.
            size: Examples that it holds.
            count: Examples that it was offered.

        Raises:
            StateError: The policy can't go on at its own capacity.
        """
        if capacity is None or size < capacity or count <= capacity:
            return

        if self.capacity is None or self.capacity > capacity:
            raise StateError(
                f"memory.capacity={self.capacity}: the state's memory has been full at {capacity}, "
                "and what it let go can't come back: memory.capacity="
                f"{capacity}, or less, goes on with it"
            )

    def begin(self, seed: int, counts: list[int]) -> None:
        """Called when the memory is new, was loaded, or its processes have agreed on their ids.

        Args:
            seed: Of all random numbers from now on.
            counts: The next example's id, by process.
        """
        self.seed = seed

    def sync_counts(self, counts: list[int]) -> Moves | None:
        """Of a shard: learn after a step how far each process is, and let go what follows from it.

        Args:
            counts: The next example's id, by process.

        Returns:
            Where something goes: slots whose examples move, those they move to, int64 [k] both, and
            how many are held then.
        """
        return None

    def keep_shard(self, slots: Ints) -> None:
        """Of a shard: the whole memory was restored, now keep only some slots, in this order."""
        self.restore({name: values[slots] for name, values in self.values().items()})

    def shard(self) -> dict[str, Any]:
        """What a shard knows of the others, as tensors and numbers; for a checkpoint alone."""
        return {}

    def restore_shard(self, snapshot: dict[str, Any]) -> None:
        """Take back what `shard` returned, which is among other things in there."""
        assert not self.shard(), f"{self.name} knows of other shards what it can't restore"
