"""Which examples are held out: it follows from the example itself, so that it stays so in every later update.

An example's place is a number in [0, 1), a hash of its inputs: below `test` it is measured on, else below `val` of a
second number it is validated on, else it is trained on. Equal examples have equal places, whatever their labels.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.errors import DataError

TRAIN, VAL, TEST = 0, 1, 2
SIDES = {"train": TRAIN, "test": TEST, "val": VAL}
TEST_KEY = 0x243F6A8885A308D3  # digits of pi: the same for every seed
MOST_EXCEPTIONS = 100_000
BLOCK = 8 << 20  # bytes hashed at a time: mapped images needn't fit into memory

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Sides = np.ndarray[Any, np.dtype[np.int8]]

_A, _B, _GOLDEN = (np.uint64(c) for c in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))
_S30, _S27, _S31, _S11, _S32 = (np.uint64(s) for s in (30, 27, 31, 11, 32))


@dataclass(frozen=True)
class Split:
    """How a state's examples are divided; kept in its versions, since a change would move some of them.

    Attributes:
        test: Share that is held out for measuring; None where a test set is given.
        val: Share of the rest to validate on.
        asked: `data.val_size` as it was given, from which `val` came.
        key: Of the second number; from the seed of the first update.
        exceptions: Hash, in hexadecimal -> `train`, `val` or `test`, of examples whose place says something else: else
            a class would have been held out whole, or nothing at all.
    """

    test: float | None
    val: float
    asked: float
    key: int
    exceptions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _need(self.test is None or _is_share(self.test), f"test is {self.test!r:.80}")
        _need(_is_share(self.val), f"val is {self.val!r:.80}")
        asked = isinstance(self.asked, int | float) and not isinstance(self.asked, bool)
        _need(asked and 0 <= self.asked < 2**53, f"asked is {self.asked!r:.80}")
        _need(type(self.key) is int and 0 <= self.key < 2**64, f"key is {self.key!r:.80}")
        _need(isinstance(self.exceptions, dict) and len(self.exceptions) <= MOST_EXCEPTIONS, "exceptions are too many")
        for place, side in self.exceptions.items():
            hexadecimal = isinstance(place, str) and len(place) == 16 and not set(place) - set("0123456789abcdef")
            _need(hexadecimal and side in SIDES, f"an exception is {place!r:.40}: {side!r:.40}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any) -> "Split":
        """Read what `to_json` wrote, perhaps a stranger's.

        Raises:
            ValueError: It is something else.
        """
        _need(isinstance(found, Mapping) and found.keys() == set(cls.__dataclass_fields__), "keys are others")
        return cls(**found)

    def sides(self, hashes: Hashes) -> Sides:
        """Return TRAIN, VAL or TEST of each hash."""
        found = np.full(len(hashes), TRAIN, np.int8)
        if self.val:
            found[number(hashes, self.key) < self.val] = VAL
        if self.test:
            found[number(hashes, TEST_KEY) < self.test] = TEST
        for place, side in self.exceptions.items():
            found[hashes == np.uint64(int(place, 16))] = SIDES[side]
        return found


def hashes_of(inputs: Tensor, order: list[int] | None = None) -> Hashes:
    """Return a 64-bit hash of each example's inputs: two multiply-shift sums of 32 bits each.

    Dietzfelbinger, 1996, https://doi.org/10.1007/3-540-60922-9_46, theorem 3: two different examples are alike with a
    chance of 2^-64.

    Args:
        inputs: [N, ...], any plain dtype.
        order: Of the columns of [N, C], so that it doesn't matter how they stand in a file.
    """
    rows = len(inputs)
    flat = inputs.reshape(rows, -1)
    if order is not None:
        flat = flat[:, order]
    if flat.is_floating_point():
        flat = flat + 0.0  # minus zero equals zero
    width = flat.shape[1] * flat.element_size()
    words = -(-width // 4)
    weights = _mix(np.arange(1, 2 * words + 1, dtype=np.uint64) * _GOLDEN).reshape(2, words)
    found = np.empty(rows, np.uint64)
    step = max(1, BLOCK // max(1, width))
    for begin in range(0, rows, step):
        part = flat[begin : begin + step].contiguous().view(torch.uint8).numpy().reshape(-1, width)
        padded = part if width == 4 * words else np.pad(part, ((0, 0), (0, 4 * words - width)))
        values = np.ascontiguousarray(padded).view(np.uint32).astype(np.uint64)
        high, low = values @ weights[0], values @ weights[1]
        found[begin : begin + step] = (high >> _S32 << _S32) | (low >> _S32)
    return _mix(found ^ np.uint64(width))


def number(hashes: Hashes, key: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return each hash's number in [0, 1) under a key."""
    return (_mix(_mix(hashes ^ np.uint64(key)) + _GOLDEN) >> _S11).astype(np.float64) * 2.0**-53


def first_split(hashes: Hashes, targets: Tensor, *, test: float | None, val: float, key: int) -> Split:
    """Decide how a state is divided, at its first update.

    Args:
        hashes: Of all examples.
        targets: Their classes, int64 [N].
        test: Share to hold out; None where a test set is given.
        val: Share of the rest to validate on, or from 1 on a number of examples.
        key: See `Split`.

    Raises:
        DataError: Nothing would be left to train on.
    """
    plain = Split(test, 0.0, val, key)
    rest = hashes[plain.sides(hashes) != TEST]
    if val >= 1:
        if val >= len(rest):
            raise DataError(f"data.val_size={val:g} leaves none of {len(rest)} examples to train on")
        places = np.sort(number(rest, key))
        share = float((places[int(val) - 1] + places[int(val)]) / 2)
    else:
        share = val
    return complete(Split(test, share, val, key), hashes, targets, set())


def complete(split: Split, hashes: Hashes, targets: Tensor, known: set[int], *, first: bool = True) -> Split:
    """Add the exceptions that examples need.

    A class that was trained on before needs none, and at a later update nobody knows which examples were.

    Args:
        split: As it is.
        hashes: Of all examples.
        targets: Their classes.
        known: Classes that earlier updates have trained on.
        first: Whether no example was ever trained on.

    Raises:
        DataError: Too few examples: each would be the only one of something.
    """
    exceptions = dict(split.exceptions)
    sides = split.sides(hashes)
    classes = targets.numpy()
    for label in np.unique(classes):
        own = classes == label
        if int(label) in known or (sides[own] == TRAIN).any():
            continue
        places = number(hashes[own], TEST_KEY)
        chosen = hashes[own][np.argmax(places)]
        exceptions[f"{int(chosen):016x}"] = "train"
        sides[hashes == chosen] = TRAIN
    for side, share, key in ((TEST, split.test, TEST_KEY), (VAL, split.val, split.key)):
        if first and share and not (sides == side).any():
            chosen = _least(hashes, sides, classes, key)
            exceptions[f"{int(chosen):016x}"] = "test" if side == TEST else "val"
            sides[hashes == chosen] = side
    return Split(split.test, split.val, split.asked, split.key, exceptions)


def _least(hashes: Hashes, sides: Sides, classes: Any, key: int) -> np.uint64:
    """The training example of the smallest place that isn't the last one of its class."""
    for index in np.argsort(number(hashes, key)):
        same = hashes == hashes[index]
        if sides[index] != TRAIN:
            continue
        left = (sides == TRAIN) & ~same
        if set(classes[same].tolist()) <= set(classes[left].tolist()):
            return np.uint64(hashes[index])
    raise DataError(
        f"{len(hashes)} examples are too few to hold some of them out and to train on every class: "
        "give more, or data.test and data.val_size=0"
    )


def _mix(z: Hashes) -> Hashes:
    z = z ^ (z >> _S30)
    z = z * _A
    z = z ^ (z >> _S27)
    z = z * _B
    return z ^ (z >> _S31)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _need(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
