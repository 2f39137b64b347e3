"""Random numbers by counter: pure functions of (seed, stream, id), so that a state holds no generator.

splitmix64's finaliser (Steele et al., 2014, https://doi.org/10.1145/2714064.2660195) over a keyed counter. The same ids
give the same numbers however a stream is cut into batches, on whichever rank, and after a resume.
"""

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_GOLDEN, _A, _B = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S30, _S27, _S31, _S11 = (np.uint64(s) for s in (30, 27, 31, 11))

KEYS, DRAWS = 0, 1  # streams
BLOCK = 4096  # numbers made at a time


class Numbers:
    """`uniform`, for ids that mostly follow each other: a block is made at once, of which a call takes its part.

    Args:
        stream: KEYS or DRAWS.
    """

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.seed, self.step, self.first = 0, 0, 0
        self.block: Floats = np.empty(0)

    def take(self, seed: int, first: int, count: int, step: int) -> Floats:
        """Return what `uniform` returns, not to be written to."""
        begin = (first - self.first) // step
        end = begin + count
        fits = seed == self.seed and step == self.step and begin >= 0 and end <= len(self.block)
        if fits and self.first + begin * step == first:
            return self.block[begin:end]

        self.seed, self.step, self.first = seed, step, first
        self.block = uniform(seed, self.stream, first, max(count, BLOCK), step)
        return self.block[:count]


def uniform(seed: int, stream: int, first: int, count: int, step: int = 1) -> Floats:
    """Return `count` float64 in (0, 1), those of the ids first, first + step, …"""
    key = np.array([(seed * int(_GOLDEN) + stream) % 2**64], dtype=np.uint64)
    key = _mix(key)
    z = np.arange(first + 1, first + 1 + count * step, step, dtype=np.uint64)
    z *= _GOLDEN
    z += key
    z = _mix(_mix(z) ^ key)
    z >>= _S11
    return (z.astype(np.float64) + 0.5) * 2.0**-53


def _mix(z: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    z = z ^ (z >> _S30)
    z *= _A
    z ^= z >> _S27
    z *= _B
    z ^= z >> _S31
    return z
