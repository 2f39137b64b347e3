"""Renate's detectors of a shift of the inputs, on the tests of `renate.shift`."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from renate.errors import DataError
from renate.models.own.untouched import untouched
from renate.shift.two_sample import Matrix, kernel_mmd, numbers

SEED = 0  # of the permutations: the same data give the same score


class CovariateShiftDetector(ABC):
    """Compares the features of a data set with those of a reference.

    Args:
        feature_extractor: Inputs [B, ...] -> features [B, ...]; None takes the inputs. It computes
            in evaluation mode, and is left as it was.
        batch_size: Items of a data set at a time.
        num_preprocessing_workers: Processes that load them.
        device: Where features are computed.
    """

    def __init__(
        self,
        feature_extractor: nn.Module | None = None,
        batch_size: int = 32,
        num_preprocessing_workers: int = 4,
        device: str = "cpu",
    ) -> None:
        self.extractor = (feature_extractor or nn.Identity()).to(device)
        self.batch_size = batch_size
        self.workers = num_preprocessing_workers
        self.device = device
        self.reference: Matrix | None = None

    def fit(self, dataset: Dataset[Any]) -> None:
        """Take a data set of (input, target) for the reference.

        Raises:
            DataError: It has no two examples, or a feature that is no number.
        """
        self.reference = self.extract_features(dataset)

    def score(self, dataset: Dataset[Any]) -> float:
        """Return 1 - p, from 0 to 1: the higher, the surer the data set is distributed otherwise.

        Raises:
            DataError: `fit` wasn't called, the data set has no two examples, or its features are of
                another number or no numbers.
        """
        if self.reference is None:
            raise DataError("score: there is no reference to compare with: call fit first")

        found = self.extract_features(dataset)
        if found.shape[1] != self.reference.shape[1]:
            raise DataError(
                f"score: {found.shape[1]} features, the reference has {self.reference.shape[1]}"
            )

        return 1.0 - self.p_value(self.reference, found)

    def extract_features(self, dataset: Dataset[Any]) -> Matrix:
        """Return the features of all items, float64 [N, D], in their order.

        Raises:
            DataError: There are no two, or one is no number.
        """
        loader = DataLoader(dataset, batch_size=self.batch_size, num_workers=self.workers)
        with untouched(self.extractor):
            parts = [self.extractor(item[0].to(self.device)).flatten(1) for item in loader]

        features: Matrix = np.empty((0, 0))
        if parts:
            features = torch.cat(parts).double().cpu().numpy()
        if len(features) < 2:
            raise DataError(f"{len(features)} examples: a distribution needs 2 at least")
        if not np.isfinite(features).all():
            row = int(np.argmin(np.isfinite(features).all(1)))
            raise DataError(f"example {row}: a feature that is no number")

        return features

    @abstractmethod
    def p_value(self, reference: Matrix, found: Matrix) -> float:
        """Return how likely two samples [N, D] and [M, D] of one distribution are so far apart."""


class MMDCovariateShiftDetector(CovariateShiftDetector):
    """By the kernel two-sample test, see `renate.shift.two_sample.kernel_mmd`.

    Args:
        feature_extractor: See `CovariateShiftDetector`.
        num_permutations: By which the p-value is estimated; it is never 0.
        batch_size: See `CovariateShiftDetector`.
        num_preprocessing_workers: See `CovariateShiftDetector`.
        device: See `CovariateShiftDetector`.
    """

    def __init__(
        self,
        feature_extractor: nn.Module | None = None,
        num_permutations: int = 1000,
        batch_size: int = 32,
        num_preprocessing_workers: int = 4,
        device: str = "cpu",
    ) -> None:
        super().__init__(feature_extractor, batch_size, num_preprocessing_workers, device)
        self.permutations = num_permutations

    def p_value(self, reference: Matrix, found: Matrix) -> float:
        """Return that of the permutation test."""
        return kernel_mmd(reference, found, permutations=self.permutations, seed=SEED).p_value


class KolmogorovSmirnovCovariateShiftDetector(CovariateShiftDetector):
    """By a test of Kolmogorov and Smirnov for each feature, the smallest p-value times their
    number.
    """

    def p_value(self, reference: Matrix, found: Matrix) -> float:
        """Return the smallest, corrected as Bonferroni did, 1 at most."""
        columns = zip(reference.T, found.T, strict=True)
        values = [numbers(before, now).p_value for before, now in columns]
        return min(1.0, min(values) * len(values))
