"""Streaming linear discriminant analysis."""

import torch
from torch import Tensor

from renate.updaters.features.statistics import FeatureStatistics


class SLDA(FeatureStatistics):
    """Classes are normal among frozen features, each with a mean, all with one covariance.

    Hayes and Kanan, 2020, https://arxiv.org/abs/1909.01520, eq. 2 to 6, with the shrinkage and the
    class frequencies of scikit-learn's LinearDiscriminantAnalysis(solver="lsqr"), which it equals
    whatever the order.

    Args:
        shrinkage: 0 to 1: how far the covariance goes towards a multiple of the identity.
    """

    means: Tensor
    scatter: Tensor

    def __init__(self, shrinkage: float) -> None:
        super().__init__()
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"shrinkage={shrinkage}: expected 0 to 1")
        self.shrinkage = shrinkage

    def make_room(self, outputs: int, width: int) -> None:
        """Register the means [K, D], and what lies around them in all classes together [D, D]."""
        self.register_buffer("means", torch.zeros(outputs, width, dtype=torch.float64))
        self.register_buffer("scatter", torch.zeros(width, width, dtype=torch.float64))

    def collect(self, features: Tensor, targets: Tensor) -> None:
        """Move the means, and add what lies around them.

        Two groups of a class have the scatter of each, and that of their means (Chan et al., 1979,
        http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf, eq. 2.1): no large
        sums are subtracted.
        """
        added = torch.bincount(targets, minlength=len(self.counts)).double()
        sums = torch.zeros_like(self.means).index_add_(0, targets, features)
        here = sums / added.clamp(min=1)[:, None]
        around = features - here[targets]

        before = self.counts - added
        apart = here - self.means
        weights = before * added / self.counts.clamp(min=1)
        self.scatter.addmm_(around.T, around)
        self.scatter.addmm_((apart * weights[:, None]).T, apart)
        self.means += apart * (added / self.counts.clamp(min=1))[:, None]

    def solve(self) -> tuple[Tensor, Tensor]:
        """Return weights [K, D] and bias [K]; where the covariance has no inverse, the smallest
        weights that fit.
        """
        total = self.counts.sum().clamp(min=1)
        covariance = self.scatter / total
        spread = covariance.trace() / len(covariance)
        shrunk = (1 - self.shrinkage) * covariance
        shrunk += self.shrinkage * spread * torch.eye(len(covariance)).to(covariance)

        weights = self.means @ torch.linalg.pinv(shrunk, hermitian=True)
        shares = (self.counts / total).clamp(min=torch.finfo(torch.float64).tiny)
        return weights, shares.log() - (weights * self.means).sum(1) / 2

    def scores(self, features: Tensor, head: tuple[Tensor, Tensor]) -> Tensor:
        """Return the logarithms of the classes' densities and frequencies, but for what all have
        in common.
        """
        weights, bias = head
        return features @ weights.T + bias
