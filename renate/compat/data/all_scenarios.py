"""Renate's scenarios, as `renate.benchmark.scenarios` had them."""

from renate.compat.data.domains import DataIncrementalScenario
from renate.compat.data.scenarios import (
    ClassIncrementalScenario,
    IIDScenario,
    ImageRotationScenario,
    PermutationScenario,
    Scenario,
)
from renate.compat.data.sorted_scenarios import FeatureSortingScenario, HueShiftScenario

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
