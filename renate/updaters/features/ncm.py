"""The nearest class mean."""

import torch
from torch import Tensor

from renate.updaters.features.statistics import FeatureStatistics


class NCM(FeatureStatistics):
    """Answer the class whose mean is nearest among frozen features.

    Mensink et al., 2013, https://doi.org/10.1109/TPAMI.2013.83, eq. 1, by Euclidean distance; as
    scikit-learn's NearestCentroid. Scores are minus half the squared distance.
    """

    sums: Tensor

    def make_room(self, outputs: int, width: int) -> None:
        """Register the sum of each class's features, [K, D]."""
        self.register_buffer("sums", torch.zeros(outputs, width, dtype=torch.float64))

    def collect(self, features: Tensor, targets: Tensor) -> None:
        """Add each example's features to its class's."""
        self.sums.index_add_(0, targets, features)

    def solve(self) -> tuple[Tensor, Tensor]:
        """Return the means [K, D], and half their squared norms [K]."""
        means = self.sums / self.counts.clamp(min=1)[:, None]
        return means, means.square().sum(1) / 2

    def scores(self, features: Tensor, head: tuple[Tensor, Tensor]) -> Tensor:
        """Return minus half the squared distances, but for what all classes have in common."""
        means, norms = head
        return features @ means.T - norms
