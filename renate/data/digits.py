"""Handwritten digits that scikit-learn carries: real and offline."""

from dataclasses import dataclass

import numpy as np
import torch

from renate.data.base import Source, Table


@dataclass(kw_only=True)
class Digits(Source):
    """1,797 grey images of 8×8 (Alpaydin & Kaynak, 1998): uint8 [1, 8, 8], the original 0..16 times 15.

    A fifth, the same for every seed, is the test set.
    """

    def read(self) -> tuple[Table, dict[str, Table]]:
        from sklearn.datasets import load_digits

        found = load_digits()
        images = torch.from_numpy((found.images * 15).astype(np.uint8))[:, None]
        order = np.random.default_rng(0).permutation(len(images))
        test, train = order[:360], order[360:]
        return (images[train], found.target[train]), {"test": (images[test], found.target[test])}
