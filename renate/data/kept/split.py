"""Which side of a split an example is on follows from its content, so that it never changes sides.

The hash of an example is that of its inputs alone, the columns taken by name: it is the same in
every update, process and machine, wherever the row stands, and rows with equal inputs go to one
side whatever their labels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.errors import DataError

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Labels = np.ndarray[Any, Any]

SIDES = TRAIN, VAL, TEST = ("train", "val", "test")
MOST = 1_000_000
# The key of the test side: the same for every seed, so that different seeds are measured on the
# same rows.
TEST_KEY = 0x7E57

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_A = np.uint64(0xBF58476D1CE4E5B9)
_B = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Split:
    """How the examples of a state are split; kept in each version.

    Attributes:
        test: The share of all examples that is held out to test on; 0 where test data is given.
        val: The share of the others that is for validation.
        asked: data.val_size as it was given, which may be a number of examples.
        key: Of the validation side, made from the seed of the first update.
        moved: hash of an example -> its side, where that isn't what the shares say.
    """

    test: float
    val: float
    asked: float
    key: int
    moved: dict[int, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it, each hash in `moved` as 16 hexadecimal digits; `from_json` is
        the reverse.
        """
        moved = {f"{number:016x}": side for number, side in sorted(self.moved.items())}
        return {
            "test": self.test,
            "val": self.val,
            "asked": self.asked,
            "key": self.key,
            "moved": moved,
        }

    @classmethod
    def from_json(cls, found: object) -> "Split":
        """Read what `to_json` wrote; it may come from a stranger.

        Raises:
            ValueError: Anything odd.
        """
        if not isinstance(found, dict) or found.keys() != {"test", "val", "asked", "key", "moved"}:
            raise ValueError("split: other keys than expected")

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

        return cls(float(found["test"]), float(found["val"]), float(asked), found["key"], sides)

    def sides(self, hashes: Hashes) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Return the side of each example, as an index into `SIDES`."""
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


def hash_rows(inputs: Tensor, names: Sequence[str] = ()) -> Hashes:
    """Return a 64-bit hash of each example's content.

    Args:
        inputs: [N, ...].
        names: Of the columns of a table [N, D]: they are taken in the order of their names. Empty
            otherwise.
    """
    rows = inputs.reshape(len(inputs), -1)
    order = sorted(range(len(names)), key=lambda i: names[i])
    hashes = np.empty(len(rows), np.uint64)
    width = -(-rows.shape[1] * rows.element_size() // 8)
    keys = mixed(np.arange(1, width + 1, dtype=np.uint64) * _GOLDEN)
    step = max(1, 2**17 // max(1, width))  # what a processor's cache holds

    for begin in range(0, len(rows), step):
        part = rows[begin : begin + step]
        if order and order != list(range(len(order))):
            part = part[:, order]
        words = _words(part, width)
        # Each word is mixed with a key of its place; the sum depends on all of them.
        hashes[begin : begin + step] = mixed(mixed(words ^ keys).sum(1, dtype=np.uint64) ^ _GOLDEN)

    return hashes


def _words(rows: Tensor, width: int) -> Hashes:
    """The bytes of [N, D] as uint64 [N, width], filled up with zeros; -0.0 as 0.0."""
    if rows.is_floating_point() or rows.is_complex():
        rows = rows + 0.0  # turns -0.0 into 0.0
    plain = rows.contiguous().view(torch.uint8).numpy().reshape(len(rows), -1)
    padded = np.zeros((len(rows), width * 8), np.uint8)
    padded[:, : plain.shape[1]] = plain
    return padded.view("<u8")


def mixed(z: Hashes) -> Hashes:
    """Return hashes of hashes: splitmix64's finaliser (Steele et al., 2014).

    https://doi.org/10.1145/2714064.2660195
    """
    z = z ^ (z >> np.uint64(30))
    z *= _A
    z ^= z >> np.uint64(27)
    z *= _B
    z ^= z >> np.uint64(31)
    return z


def uniform(hashes: Hashes, key: int) -> Floats:
    """Return a number in [0, 1) of each hash; those of different keys are independent."""
    number = mixed(hashes ^ mixed(np.array([key], np.uint64) * _GOLDEN + _A))
    return (number >> np.uint64(11)).astype(np.float64) * 2.0**-53


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
            raise DataError(
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
