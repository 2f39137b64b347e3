"""Renate's detectors of a shift of the inputs, on the tests of `renate.shift`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from renate.errors import ConfigError, DataError
from renate.models.own.untouched import untouched
from renate.shift.detector import FEWEST_PERMUTATIONS
from renate.shift.two_sample import Matrix, kernel_mmd, numbers

SEED = 0  # of the permutations: the same data give the same score


class ShiftDetector:
    """Says how surely a data set is distributed otherwise than a reference: `fit` takes the
    reference, `score` the other.

    Args:
        batch_size: Items of a data set at a time.
        num_preprocessing_workers: Processes that load them.
        device: Where is computed.
    """

    def __init__(
        self, batch_size: int = 32, num_preprocessing_workers: int = 4, device: str = "cpu"
    ) -> None:
        # Renate's names, which detectors of one's own refer to
        self._batch_size = batch_size
        self._num_preprocessing_workers = num_preprocessing_workers
        self._device = device

    def fit(self, dataset: Dataset[Any]) -> None:
        """Take a data set of (input, target) for the reference."""
        raise NotImplementedError(f"{type(self).__name__} has no fit")

    def score(self, dataset: Dataset[Any]) -> float:
        """Return a number for a data set: the higher, the surer it is distributed otherwise."""
        raise NotImplementedError(f"{type(self).__name__} has no score")

    def _make_data_loader(self, dataset: Dataset[Any], shuffle: bool = False) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            batch_size=self._batch_size,
            shuffle=shuffle,
            num_workers=self._num_preprocessing_workers,
        )


def moved(inputs: Any, device: str) -> Any:
    """Return inputs on a device: a tensor, or such in tuples, lists and mappings."""
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    if isinstance(inputs, Mapping):
        return {name: moved(each, device) for name, each in inputs.items()}
    return tuple(moved(each, device) for each in inputs)


class ShiftDetectorWithFeatureExtractor(ShiftDetector):
    """A detector that compares features; a subclass has `_fit_with_features` and
    `_score_with_features`, each of features [N, ...].

    Args:
        feature_extractor: Inputs [B, ...] -> features [B, ...]; None takes the inputs. It computes
            in evaluation mode, and is left as it was.
        batch_size: See `ShiftDetector`.
        num_preprocessing_workers: See `ShiftDetector`.
        device: See `ShiftDetector`.
    """

    def __init__(
        self,
        feature_extractor: nn.Module | None = None,
        batch_size: int = 32,
        num_preprocessing_workers: int = 4,
        device: str = "cpu",
    ) -> None:
        super().__init__(batch_size, num_preprocessing_workers, device)
        self._feature_extractor = (feature_extractor or nn.Identity()).to(device)

    def fit(self, dataset: Dataset[Any]) -> None:
        """Take the features of a data set for the reference.

        Raises:
            DataError: It has no examples.
        """
        self._fit_with_features(self.extract_features(dataset))

    def score(self, dataset: Dataset[Any]) -> float:
        """Return the score of the features of a data set.

        Raises:
            DataError: It has no examples.
        """
        return self._score_with_features(self.extract_features(dataset))

    def extract_features(self, dataset: Dataset[Any]) -> Tensor:
        """Return the features of all items, [N, ...], in their order, on the CPU.

        Raises:
            DataError: There are no items.
        """
        loader = self._make_data_loader(dataset)
        with untouched(self._feature_extractor):
            parts = [
                self._feature_extractor(moved(batch[0], self._device)).cpu() for batch in loader
            ]

        if not parts:
            raise DataError("0 examples: a distribution needs 2 at least")
        return torch.cat(parts)

    def _fit_with_features(self, X: Tensor) -> None:  # noqa: N803 (Renate's name)
        raise NotImplementedError(f"{type(self).__name__} has no _fit_with_features")

    def _score_with_features(self, X: Tensor) -> float:  # noqa: N803 (Renate's name)
        raise NotImplementedError(f"{type(self).__name__} has no _score_with_features")


class CovariateShiftDetector(ShiftDetectorWithFeatureExtractor, ABC):
    """Scores by 1 - p of a test whether the features of two data sets are of one distribution:
    from 0 to 1.

    Args:
        feature_extractor: See `ShiftDetectorWithFeatureExtractor`, as what follows.
        batch_size: See there.
        num_preprocessing_workers: See there.
        device: See there.
    """

    def __init__(
        self,
        feature_extractor: nn.Module | None = None,
        batch_size: int = 32,
        num_preprocessing_workers: int = 4,
        device: str = "cpu",
    ) -> None:
        super().__init__(feature_extractor, batch_size, num_preprocessing_workers, device)
        self.reference: Matrix | None = None

    def _fit_with_features(self, X: Tensor) -> None:  # noqa: N803 (Renate's name)
        self.reference = _matrix(X)

    def _score_with_features(self, X: Tensor) -> float:  # noqa: N803 (Renate's name)
        if self.reference is None:
            raise DataError("score: there is no reference to compare with: call fit first")

        found = _matrix(X)
        if found.shape[1] != self.reference.shape[1]:
            raise DataError(
                f"score: {found.shape[1]} features, the reference has {self.reference.shape[1]}"
            )

        return 1.0 - self.p_value(self.reference, found)

    @abstractmethod
    def p_value(self, reference: Matrix, found: Matrix) -> float:
        """Return how likely two samples [N, D] and [M, D] of one distribution are so far apart."""


def _matrix(features: Tensor) -> Matrix:
    """Return features [N, ...] as float64 [N, D].

    Raises:
        DataError: There are no two, they have no features, or one is no number.
    """
    if not features.numel():
        raise DataError(f"features {list(features.shape)}: expected 1 or more of each example")

    found: Matrix = features.reshape(len(features), -1).double().numpy()
    if len(found) < 2:
        raise DataError(f"{len(found)} examples: a distribution needs 2 at least")
    if not np.isfinite(found).all():
        row = int(np.argmin(np.isfinite(found).all(1)))
        raise DataError(f"example {row}: a feature that is no number")

    return found


class MMDCovariateShiftDetector(CovariateShiftDetector):
    """By the kernel two-sample test, see `renate.shift.two_sample.kernel_mmd`.

    Args:
        feature_extractor: See `ShiftDetectorWithFeatureExtractor`.
        num_permutations: By which the p-value is estimated, 19 or more; it is never 0.
        batch_size: See `ShiftDetectorWithFeatureExtractor`.
        num_preprocessing_workers: See `ShiftDetectorWithFeatureExtractor`.
        device: See `ShiftDetectorWithFeatureExtractor`.
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
        if type(num_permutations) is not int or num_permutations < FEWEST_PERMUTATIONS:
            raise ConfigError(
                f"num_permutations={num_permutations!r}: expected {FEWEST_PERMUTATIONS} or more, "
                "as no score is above 1 - 1 / (num_permutations + 1)"
            )

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
