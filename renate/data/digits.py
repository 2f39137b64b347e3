"""Handwritten digits that scikit-learn carries: real and offline."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from renate.data.base import Source
from renate.data.table import Readable


@dataclass(kw_only=True)
class Digits(Source):
    """1,797 grey images of 8×8 (Alpaydin & Kaynak, 1998): uint8 [1, 8, 8], the original 0..16 times
    15.

    A fifth, the same for every seed, is the test set.
    """

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Return 1,437 images and their digits, int64 [N], and the other 360 as `test`."""
        pixels, targets = _parsed()
        images = torch.from_numpy((pixels * 15).astype(np.uint8))[:, None]
        order = np.random.default_rng(0).permutation(len(images))
        test = order[:360]
        train = order[360:]
        return (images[train], targets[train]), {"test": (images[test], targets[test])}


@cache
def _parsed() -> tuple[np.ndarray, np.ndarray]:
    """Pixels 0..16 [1797, 8, 8] and digits [1797]; a warm worker reads the file once.

    Not by `load_digits`, but where scikit-learn has moved its file: importing scikit-learn takes a
    second.
    """
    package = find_spec("sklearn")
    if package:
        file = Path(str(package.origin)).parent / "datasets/data/digits.csv.gz"
    else:
        file = Path()

    if not file.is_file():
        from sklearn.datasets import load_digits

        found = load_digits()
        return found.images, found.target

    with gzip.open(file) as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.int64)

    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]
