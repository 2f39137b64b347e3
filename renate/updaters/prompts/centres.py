"""Centres of features."""

import warnings

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor


def centres_of(features: Tensor, count: int) -> Tensor:
    """Return the centres that K-means finds, [C, D]: as many as there are examples, at most.

    Args:
        features: [B, D].
        count: Centres to find.
    """
    means = KMeans(
        n_clusters=min(count, len(features)),
        n_init=10,
        random_state=int(torch.randint(2**31, ())),
    )
    with warnings.catch_warnings():
        # Of examples that are alike there are fewer centres
        warnings.simplefilter("ignore", ConvergenceWarning)
        means.fit(features.cpu().numpy())
    return torch.as_tensor(means.cluster_centers_)
