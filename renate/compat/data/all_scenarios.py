"""Renate's scenarios, as `renate.benchmark.scenarios` had them."""

from renate.compat.data.domains import DataIncrementalScenario
from renate.compat.data.scenarios import (
    ClassIncrementalScenario,
    FeatureSortingScenario,
    HueShiftScenario,
    IIDScenario,
    ImageRotationScenario,
    PermutationScenario,
    Scenario,
)

__all__ = [
    "ClassIncrementalScenario",
    "DataIncrementalScenario",
    "FeatureSortingScenario",
    "HueShiftScenario",
    "IIDScenario",
    "ImageRotationScenario",
    "PermutationScenario",
    "Scenario",
]
