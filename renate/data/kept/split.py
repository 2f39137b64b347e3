"""Which side of a split an example is on follows from its content, so that it never changes sides.

The hash of an example is that of its inputs alone, the columns taken by name: it is the same in
every update, process and machine, wherever the row stands, and rows with equal inputs go to one
side whatever their labels.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from renate.data.kept.hashing import Hashes, uniform
from renate.data.kept.periods import Period, Times, periods_from, sides_of
from renate.errors import DataError, TooFewError

Labels = np.ndarray[Any, Any]

SIDES = TRAIN, VAL, TEST = ("train", "val", "test")
MOST = 1_000_000
# The key of the test side: the same for every seed, so that different seeds are measured on the
# same rows.
TEST_KEY = 0x7E57


@dataclass(frozen=True)
class Split:
    """How the examples of a state are split; kept in each version.

    Attributes:
        test: The share of all examples that is held out to test on; 0 where test data is given.
        val: The share of the others that is for validation.
        asked: data.val_size as it was given, which may be a number of examples.
        key: Of the validation side, made from the seed of the first update.
        moved: hash of an example -> its side, where that isn't what the shares say.
        by: What says on which side an example is: `key`, `group` or `time`, and the columns; empty
            where all inputs do.
        periods: Of `time`: what each update brought.
    """

    test: float
    val: float
    asked: float
    key: int
    moved: dict[int, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    periods: tuple[Period, ...] = ()

    @property
    def by_time(self) -> bool:
        """Whether the newest examples are held out."""
        return self.by[:1] == ("time",)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it, each hash in `moved` as 16 hexadecimal digits; `from_json` is
        the reverse.
        """
        moved = {f"{number:016x}": side for number, side in sorted(self.moved.items())}
        plain: dict[str, Any] = {
            "test": self.test,
            "val": self.val,
            "asked": self.asked,
            "key": self.key,
            "moved": moved,
        }
        if self.by:
            plain["by"] = list(self.by)
        if self.by_time:
            plain["periods"] = [list(period) for period in self.periods]

        return plain

    @classmethod
    def from_json(cls, found: object) -> "Split":
        """Read what `to_json` wrote; it may come from a stranger.

        Raises:
            ValueError: Anything odd.
        """
        known = {"test", "val", "asked", "key", "moved"}
        if not isinstance(found, dict) or not known <= found.keys() <= known | {"by", "periods"}:
            raise ValueError("split: other keys than expected")

        by = _by_from(found)

        for name in ("test", "val"):
            share = found[name]
            if type(share) not in (int, float) or not 0 <= share < 1:
                raise ValueError(f"split: {name} is no share")

        asked = found["asked"]
        if type(asked) not in (int, float) or not (math.isfinite(asked) and 0 <= asked < 2**53):
            raise ValueError("split: asked is no size")
        if type(found["key"]) is not int or not 0 <= found["key"] < 2**63:
            raise ValueError("split: no key")

        moved = found["moved"]
        if not isinstance(moved, dict) or len(moved) > MOST:
            raise ValueError("split: moved is no mapping")

        for number, side in moved.items():
            hexadecimal = len(number) == 16 and set(number) <= set("0123456789abcdef")
            if not hexadecimal or side not in SIDES:
                raise ValueError("split: moved holds what no update writes")

        sides = {int(number, 16): str(side) for number, side in moved.items()}

        periods = periods_from(found["periods"]) if "periods" in found else ()
        sizes = (float(found["test"]), float(found["val"]), float(asked))
        return cls(*sizes, found["key"], sides, by, periods)

    def sides(
        self, hashes: Hashes, times: Times | None = None
    ) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Return the side of each example, as an index into `SIDES`.

        Args:
            hashes: Of the examples, [N].
            times: When each was, [N], where that says it.
        """
        if self.by_time:
            assert times is not None, "a state that holds out by time is given times"
            return sides_of(times, self.periods)

        result = np.zeros(len(hashes), np.int8)
        result[uniform(hashes, self.key) < self.val] = SIDES.index(VAL)
        result[uniform(hashes, TEST_KEY) < self.test] = SIDES.index(TEST)

        if self.moved:
            numbers = np.array(list(self.moved), np.uint64)
            order = np.argsort(numbers)
            where = np.minimum(np.searchsorted(numbers, hashes, sorter=order), len(order) - 1)
            index = order[where]
            given = np.array([SIDES.index(side) for side in self.moved.values()], np.int8)
            result = np.where(numbers[index] == hashes, given[index], result)

        return result


def _by_from(found: dict[str, Any]) -> tuple[str, ...]:
    by = found.get("by", [])
    good = isinstance(by, list) and all(isinstance(name, str) and name for name in by)
    if not good or ("by" in found and (len(by) < 2 or by[0] not in ("key", "group", "time"))):
        raise ValueError("split: by names no columns")
    if ("periods" in found) != (by[:1] == ["time"]):
        raise ValueError("split: periods where nothing goes by time, or none where it does")

    return tuple(by)


def first_split(hashes: Hashes, test: float, val_size: float, key: int) -> Split:
    """The split of a first update.

    Args:
        hashes: Of all examples.
        test: The share to test on.
        val_size: A fraction below 1, or a number of examples, which becomes the share that gives
            that many here.
        key: See `Split.key`.

    Raises:
        DataError: Nothing would be left to train on.
    """
    rest = np.sort(uniform(hashes[uniform(hashes, TEST_KEY) >= test], key))
    if val_size < 1:
        return Split(test, val_size, val_size, key)

    count = int(val_size)
    if count >= len(rest):
        raise DataError(f"data.val_size={count} leaves none of {len(rest)} examples to train on")

    return Split(test, float(rest[count]), val_size, key)


def with_exceptions(
    split: Split,
    hashes: Hashes,
    labels: Labels,
    new: set[Any],
    *,
    first: bool,
    fresh: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
) -> Split:
    """Add what the shares alone would get wrong: a new class that is held out whole, an empty side.

    Only what no earlier version can have seen is moved: examples of new classes, and at a first
    update any.

    Args:
        split: By the shares.
        hashes: Of all examples, [N].
        labels: Of all examples, [N].
        new: The labels that no earlier version knows.
        first: Whether there is no earlier version.
        fresh: Which examples [N] may be trained on, and be validated by; None for all.

    Raises:
        DataError: A side would be empty.
    """
    moved = dict(split.moved)
    sides = split.sides(hashes)
    trained = set(np.unique(labels[sides == 0]).tolist())

    for label in sorted(new - trained):
        stays = int(hashes[labels == label].max())
        moved[stays] = TRAIN
        sides[hashes == np.uint64(stays)] = 0

    for side, share, key in ((TEST, split.test, TEST_KEY), (VAL, split.val, split.key)):
        number = SIDES.index(side)
        there = sides == number
        count = len(labels)
        if fresh is not None and side == VAL:
            there = there & fresh
            count = int(fresh.sum())

        if not share or there.any():
            continue

        size = "val_size"
        if side == TEST:
            size = "test_size"

        if not first:
            raise TooFewError(
                f"data.{size}: none of these {count} examples is held out, and those of an "
                "earlier update "
                f"must not change sides: give more rows{', or data.test' if side == TEST else ''}"
            )

        taken = _least(hashes, labels, sides, key)
        if taken is None:
            raise DataError(
                f"data.{size}: {len(labels)} examples are too few, each is the last of its class "
                "to train on: "
                f"give more rows{', or data.test' if side == TEST else ', or data.val_size=0'}"
            )

        moved[taken] = side
        sides[hashes == np.uint64(taken)] = number

    return Split(split.test, split.val, split.asked, split.key, moved)


def _least(hashes: Hashes, labels: Labels, sides: np.ndarray[Any, Any], key: int) -> int | None:
    """The training example with the smallest number that isn't the last of a class."""
    training = np.flatnonzero(sides == 0)
    for row in training[np.argsort(uniform(hashes[training], key), kind="stable")]:
        same = hashes[training] == hashes[row]
        left = set(np.unique(labels[training[~same]]).tolist())
        if set(labels[training].tolist()) == left:
            return int(hashes[row])

    return None
