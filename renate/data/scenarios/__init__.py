"""How one data set is cut into chunks, each the data of one update: a file for each rule."""

from renate.data.scenarios.base import NoScenario, Scenario, disjoint, tensor_of
from renate.data.scenarios.blurry import BlurryClassIncremental
from renate.data.scenarios.class_incremental import ClassIncremental
from renate.data.scenarios.data_incremental import DataIncremental
from renate.data.scenarios.iid import IID
from renate.data.scenarios.permutation import Permutation
from renate.data.scenarios.rotation import Rotation, rotate
from renate.data.scenarios.sorting import FeatureSorting, HueShift
from renate.data.scenarios.time_incremental import TimeIncremental
from renate.data.scenarios.weekly import Weekly

__all__ = [
    "IID",
    "BlurryClassIncremental",
    "ClassIncremental",
    "DataIncremental",
    "FeatureSorting",
    "HueShift",
    "NoScenario",
    "Permutation",
    "Rotation",
    "Scenario",
    "TimeIncremental",
    "Weekly",
    "disjoint",
    "rotate",
    "tensor_of",
]
