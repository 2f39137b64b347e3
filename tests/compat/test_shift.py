"""Renate's detectors of a shift, as its scripts call them."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from renate.errors import ConfigError, DataError
from renate.shift.detector import Detector, ShiftDetector, ShiftDetectorWithFeatureExtractor
from renate.shift.ks_detector import KolmogorovSmirnovCovariateShiftDetector
from renate.shift.mmd_detectors import MMDCovariateShiftDetector

DETECTORS = [KolmogorovSmirnovCovariateShiftDetector, MMDCovariateShiftDetector]


def drawn(seed: int, mean: float = 0.0, rows: int = 100) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    inputs = mean + torch.randn(rows, 4, generator=generator)
    return TensorDataset(inputs, torch.zeros(rows))


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_shift_has_the_higher_score(kind: type) -> None:
    detector = kind(num_preprocessing_workers=0)
    detector.fit(drawn(0))
    assert detector.score(drawn(1, mean=1.0)) > 0.99
    alike = [detector.score(drawn(seed)) for seed in range(2, 12)]
    assert min(alike) < 0.5, "no shift, no certainty"
    assert all(0 <= score <= 1 for score in alike)


def test_each_feature_is_tested_and_corrected() -> None:
    detector = KolmogorovSmirnovCovariateShiftDetector(num_preprocessing_workers=0)
    before, now = drawn(0), drawn(1, mean=0.2)
    detector.fit(before)
    columns = zip(before.tensors[0].T.numpy(), now.tensors[0].T.numpy(), strict=True)
    smallest = min(scipy.stats.ks_2samp(a, b).pvalue for a, b in columns)
    assert detector.score(now) == pytest.approx(1 - min(1.0, 4 * smallest), abs=1e-9)


def test_the_extractor_computes_in_evaluation_mode_and_is_left_as_it_was() -> None:
    extractor = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))
    extractor.train()
    detector = MMDCovariateShiftDetector(extractor, num_preprocessing_workers=0)
    first = detector.extract_features(drawn(0))
    assert np.array_equal(first, detector.extract_features(drawn(0)))
    assert extractor.training
    assert all(part.training for part in extractor)
    assert torch.equal(extractor[1].running_mean, torch.zeros(4))


@pytest.mark.parametrize("kind", DETECTORS)
def test_inputs_may_be_mappings_and_features_single_numbers(kind: type) -> None:
    class Texts(Dataset[Any]):
        def __init__(self, mean: float) -> None:
            self.numbers = drawn(0, mean).tensors[0]

        def __len__(self) -> int:
            return len(self.numbers)

        def __getitem__(self, row: int) -> Any:
            return {"ids": self.numbers[row], "more": [self.numbers[row]]}, 0

    class First(nn.Module):
        def forward(self, inputs: Any) -> torch.Tensor:
            return inputs["ids"][:, 0] + inputs["more"][0][:, 1]

    detector = kind(First(), num_preprocessing_workers=0)
    detector.fit(Texts(0.0))
    assert detector.score(Texts(0.0)) < 0.5
    assert detector.score(Texts(3.0)) > 0.99


def test_no_permutations_say_nothing() -> None:
    with pytest.raises(ConfigError, match="num_permutations=0: expected 19 or more"):
        MMDCovariateShiftDetector(num_permutations=0)


@pytest.mark.parametrize("kind", DETECTORS)
def test_what_cant_be_compared_is_refused(kind: type) -> None:
    detector = kind(num_preprocessing_workers=0)
    with pytest.raises(DataError, match="call fit first"):
        detector.score(drawn(0))
    with pytest.raises(DataError, match=r"features \[9, 0\]: expected 1 or more of each"):
        detector.fit(TensorDataset(torch.zeros(9, 0), torch.zeros(9)))
    with pytest.raises(DataError, match="1 examples: a distribution needs 2"):
        detector.fit(drawn(0, rows=1))
    detector.fit(drawn(0))
    with pytest.raises(DataError, match="3 features, the reference has 4"):
        detector.score(TensorDataset(torch.zeros(5, 3), torch.zeros(5)))
    odd = torch.zeros(5, 4)
    odd[2, 1] = float("nan")
    with pytest.raises(DataError, match="example 2: a feature that is no number"):
        detector.score(TensorDataset(odd, torch.zeros(5)))


def test_the_bases_are_found_beside_the_detector_of_this_package() -> None:
    assert Detector.__module__ == "renate.shift.detector"
    assert all(issubclass(kind, ShiftDetector) for kind in DETECTORS)
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from renate.shift.detector import Nothing  # noqa: F401


def test_a_detector_of_ones_own() -> None:
    """On the base class as Renate had it: `fit` and `score` extract, a subclass compares."""

    class Distance(ShiftDetectorWithFeatureExtractor):
        def _fit_with_features(self, X: torch.Tensor) -> None:  # noqa: N803
            self.mean = X.mean(0)

        def _score_with_features(self, X: torch.Tensor) -> float:  # noqa: N803
            return float((X.mean(0) - self.mean).norm())

    detector = Distance(nn.Linear(4, 2), batch_size=30, num_preprocessing_workers=0)
    detector.fit(drawn(0))
    assert detector.score(drawn(0)) == pytest.approx(0.0, abs=1e-6)
    assert detector.score(drawn(0, mean=3.0)) > 0.1
    with pytest.raises(NotImplementedError, match="ShiftDetector has no fit"):
        ShiftDetector().fit(drawn(0))
