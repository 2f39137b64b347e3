"""Random numbers by counter: functions of (stream, seed, id), so that a state holds no generator.

splitmix64's finaliser (Steele et al., 2014, https://doi.org/10.1145/2714064.2660195) over a keyed
counter. The same ids give the same numbers however a stream is cut into batches, on whichever rank,
and after a resume.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_GOLDEN, _A, _B = (
    np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_S30, _S27, _S31, _S11 = (np.uint64(s) for s in (30, 27, 31, 11))

# Streams: an example's key, a draw, the rank of a class among those with as many examples; by whom
# one that is kept is challenged, and whether it gives way.
KEYS = 0
DRAWS = 1
CLASSES = 2
CHOICES = 3
SWAPS = 4
BLOCK = 4096  # numbers made at a time


class Numbers:
    """A function of ids that mostly follow each other: a block is made at once, and read in parts.

    Args:
        make: Takes a seed and ids, returns float64 [n].
    """

    def __init__(self, make: Callable[[int, range], Floats]) -> None:
        self.make = make
        self.seed = 0
        self.first = 0
        self.step = 1
        self.block: Floats = np.empty(0)

    def take(self, seed: int, ids: range) -> Floats:
        """Return what `make` returns, not to be written to."""
        first = ids.start
        step = ids.step
        begin = (first - self.first) // step
        end = begin + len(ids)
        fits = seed == self.seed and step == self.step
        if fits and begin >= 0 and end <= len(self.block) and self.first + begin * step == first:
            return self.block[begin:end]

        count = max(len(ids), BLOCK)
        self.seed = seed
        self.first = first
        self.step = step
        self.block = self.make(seed, range(first, first + count * step, step))

        return self.block[: len(ids)]


def uniform(stream: int, seed: int, ids: range) -> Floats:
    """Return a number in (0, 1) for each id, float64 [n]."""
    key = np.array([(seed * int(_GOLDEN) + stream) % 2**64], dtype=np.uint64)
    key = _mix(key)
    z = np.arange(ids.start + 1, ids.stop + 1, ids.step, dtype=np.uint64)
    z *= _GOLDEN
    z += key
    z = _mix(_mix(z) ^ key)
    z >>= _S11

    return (z.astype(np.float64) + 0.5) * 2.0**-53


def by_age(ids: range) -> Floats:
    """Return a number in (0, 1) for each id, float64 [n], the larger the later it came."""
    return np.arange(ids.start + 1, ids.stop + 1, ids.step, dtype=np.float64) * 2.0**-53


def _mix(z: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    z = z ^ (z >> _S30)
    z *= _A
    z ^= z >> _S27
    z *= _B
    z ^= z >> _S31
    return z
