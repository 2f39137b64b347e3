"""Random projections and a ridge regression."""

import torch
import torch.nn.functional as F
from torch import Tensor

from renate.checks.bounds import above_0, at_least_1
from renate.updaters.features.statistics import FeatureStatistics

POWERS = range(-8, 9)  # of 10, that the paper picks the ridge among
LEAST_FREE = 1e-3  # share of the examples that the fit isn't bound by: below, errors are rounding


class RanPAC(FeatureStatistics):
    """Ridge regression onto the classes of randomly projected frozen features.

    McDonnell et al., 2023, https://arxiv.org/abs/2307.02251, eq. 5 to 7 (without its first session
    of adapting the backbone). The Gram matrix and the sums of each class lie in the state, so any
    order of any chunks gives the same head.

    Args:
        width: Of the projection, the paper's M.
        ridge: Weight of small coefficients, the paper's λ; None picks a power of 10 by generalised
            cross-validation (Golub et al., 1979, https://doi.org/10.1080/00401706.1979.10489751,
            eq. 1.6), which the sums are enough for, where the paper holds out a part of the data.
    """

    projection: Tensor
    gram: Tensor
    sums: Tensor

    def __init__(self, width: int, ridge: float | None) -> None:
        super().__init__()
        at_least_1(width=width)
        if ridge is not None:
            above_0(ridge=ridge)

        self.width = width
        self.ridge = ridge

    def make_room(self, outputs: int, width: int) -> None:
        """Draw the projection [D, M], which every later update goes on with, and register the Gram
        matrix [M, M] and each class's sum [K, M].
        """
        sums = torch.zeros(outputs, self.width, dtype=torch.float64)
        self.register_buffer("projection", torch.randn(width, self.width))
        self.register_buffer("gram", torch.zeros(self.width, self.width, dtype=torch.float64))
        self.register_buffer("sums", sums)

    def projected(self, features: Tensor) -> Tensor:
        """Return the hidden layer [B, M] of features [B, D]."""
        return F.relu(features @ self.projection.double())

    def collect(self, features: Tensor, targets: Tensor) -> None:
        """Add the hidden layer's products, and its sum over each class."""
        hidden = self.projected(features)
        self.gram.addmm_(hidden.T, hidden)  # a product of its own would be as large as the sums
        self.sums.index_add_(0, targets, hidden)

    def solve(self) -> tuple[Tensor, Tensor]:
        """Return weights [K, M], and a bias of 0."""
        ridge = self.ridge
        if ridge is None:
            ridge = self.picked()

        ridged = self.gram + ridge * torch.eye(self.width).to(self.gram)
        weights = torch.linalg.solve(ridged, self.sums.T).T
        return weights, torch.zeros_like(self.counts)

    def picked(self) -> float:
        """Return the power of 10 with the smallest error by generalised cross-validation."""
        total = float(self.counts.sum())
        values, vectors = torch.linalg.eigh(self.gram)
        values = values.clamp(min=0)
        along = (self.sums @ vectors).square().sum(0)

        errors = {}
        for power in POWERS:
            ridged = values + 10.0**power
            free = 1 - float((values / ridged).sum()) / max(total, 1)
            # Targets are one-hot, so their squares sum to the number of examples
            missed = total - float((along * (2 / ridged - values / ridged.square())).sum())
            if free > LEAST_FREE:
                errors[power] = missed / free**2

        best = min(errors, key=lambda power: errors[power], default=max(POWERS))
        return float(10.0**best)

    def scores(self, features: Tensor, head: tuple[Tensor, Tensor]) -> Tensor:
        """Return what the regression gives for each class."""
        weights, bias = head
        return self.projected(features) @ weights.T + bias
