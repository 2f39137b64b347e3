"""Hashes of examples: of their content alone, the same in every process and on every machine."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_A = np.uint64(0xBF58476D1CE4E5B9)
_B = np.uint64(0x94D049BB133111EB)


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
