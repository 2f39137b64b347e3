"""Renate's import paths: one table, asked by `import` for names that nobody else has."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

NAMES = "renate.compat.names"
DATA = "renate.compat.data"
MODELS = "renate.compat.models"
CALLS = "renate.compat.calls"
UPDATERS = "renate.compat.updaters"
EXPERIMENTAL = (
    "er",
    "fine_tuning",
    "gdumb",
    "joint",
    "l2p",
    "offline_er",
    "repeated_distill",
    "speft",
)
VISION_TRANSFORMERS = tuple(
    f"VisionTransformer{size}" for size in ("CIFAR", "B16", "B32", "L16", "L32", "H14")
)

# What one imported from Renate 0.5 -> where it is here; with a colon, a name within a module.
TABLE = {
    "renate.defaults": f"{NAMES}.defaults",
    "renate.training.run_training_job": f"{CALLS}.training:run_training_job",
    "renate.training.training": f"{CALLS}.training",
    "renate.tuning.tuning": f"{CALLS}.training",
    "renate.tuning.execute_tuning_job": f"{CALLS}.training:execute_tuning_job",
    "renate.tuning.config_spaces": "renate.compat.space.spaces",
    "renate.utils.config_spaces": "renate.compat.space.spaces",
    "renate.cli.run_training": f"{CALLS}.command_line",
    "renate.cli.run_experiment": "renate.compat.experiments.command_line",
    "renate.cli.run_experiment_with_scenario": "renate.compat.experiments.command_line",
    "renate.benchmark.experiment_config": "renate.compat.benchmark.experiment_config",
    "renate.benchmark.experimentation": "renate.compat.experiments.run",
    "renate.models.RenateModule": f"{MODELS}.renate_module:RenateModule",
    "renate.models.renate_module": f"{MODELS}.renate_module",
    "renate.data.RenateDataModule": f"{DATA}.data_module:RenateDataModule",
    "renate.data.data_module": f"{DATA}.data_module",
    "renate.data.datasets": f"{DATA}.datasets",
    "renate.benchmark.scenarios": f"{DATA}.all_scenarios",
    "renate.benchmark.datasets.vision_datasets": f"{DATA}.vision_datasets",
    "renate.benchmark.models.MultiLayerPerceptron": f"{MODELS}.mlp:MultiLayerPerceptron",
    **{
        f"renate.benchmark.models.{name}": f"{MODELS}.resnet:{name}"
        for depth in (18, 34, 50)
        for name in (f"ResNet{depth}", f"ResNet{depth}CIFAR")
    },
    **{
        f"renate.benchmark.models.{name}": f"{MODELS}.vision_transformer:{name}"
        for name in VISION_TRANSFORMERS
    },
    "renate.benchmark.models.vision_transformer": f"{MODELS}.vision_transformer",
    **{
        f"renate.benchmark.models.{name}": f"{MODELS}.prompted:{name}"
        for name in (
            "LearningToPromptTransformer",
            "PromptedTransformer",
            "SPromptTransformer",
        )
    },
    "renate.benchmark.models.l2p": f"{MODELS}.prompted",
    "renate.benchmark.models.spromptmodel": f"{MODELS}.prompted",
    "renate.benchmark.models.transformer": f"{MODELS}.transformer",
    "renate.benchmark.datasets.base": f"{DATA}.domains",
    "renate.benchmark.datasets.nlp_datasets": f"{DATA}.nlp_datasets",
    "renate.benchmark.models.resnet": f"{MODELS}.resnet",
    "renate.benchmark.models.mlp": f"{MODELS}.mlp",
    "renate.updaters.model_updater": f"{UPDATERS}.model_updater",
    **{
        f"renate.updaters.{name}": f"{UPDATERS}.by_method"
        for name in (
            "avalanche.model_updater",
            *(f"experimental.{name}" for name in EXPERIMENTAL),
        )
    },
    "renate.utils.optimizer": f"{NAMES}.optimizer",
    "renate.benchmark.models.base": f"{MODELS}.benchmarking_module",
    **{
        f"renate.shift.detector.{name}": f"renate.compat.shift:{name}"
        for name in ("ShiftDetector", "ShiftDetectorWithFeatureExtractor")
    },
    "renate.shift.mmd_detectors": "renate.compat.shift",
    "renate.shift.ks_detector": "renate.compat.shift",
}
# Packages of Renate's in which there was more than the table has.
PACKAGES = ("renate.utils", "renate.benchmark", "renate.evaluation", "renate.shift")
MOVED = {
    "syne_tune.backend.sagemaker_backend": "from renate import get_execution_role",
}


class OldNames(MetaPathFinder):
    """Finds what the table has; the last finder, so that it costs nothing while others find."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Answer for names of Renate's.

        Raises:
            ModuleNotFoundError: A name of Renate's insides, or one that has moved.
        """
        if fullname in MOVED:
            raise ModuleNotFoundError(f"{fullname} is no more: {MOVED[fullname]}", name=fullname)
        if not fullname.startswith("renate."):
            return None

        if fullname in TABLE:
            return ModuleSpec(fullname, Alias(TABLE[fullname]))
        if any(name.startswith(f"{fullname}.") for name in TABLE):
            return ModuleSpec(fullname, Package(), is_package=True)
        if fullname.startswith(tuple(f"{package}." for package in PACKAGES)):
            raise ModuleNotFoundError(
                f"{fullname} is of Renate's insides, which this package hasn't; "
                "docs/migrating.md says what there is",
                name=fullname,
            )

        return None


class Package(Loader):
    """A package of which the table has only modules."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the import system."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Let attributes be what the table has below it."""

        def ask(name: str) -> Any:
            full = f"{module.__name__}.{name}"
            if full not in TABLE:
                raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")
            return importlib.import_module(full)

        module.__dict__["__getattr__"] = ask


class Alias(Loader):
    """Lets an old name be a module of ours, or what a module of ours holds.

    Args:
        place: From the table.
    """

    def __init__(self, place: str) -> None:
        self.module, _, self.name = place.partition(":")

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the import system: `exec_module` replaces what it makes."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put ours in the place of the new module; `import` returns what it finds there."""
        found: Any = importlib.import_module(self.module)
        if self.name:
            found = getattr(found, self.name)
        sys.modules[module.__name__] = found

    def get_code(self, fullname: str) -> CodeType | None:
        """What `python -m` runs."""
        spec = importlib.util.find_spec(self.module)
        loader: Any = spec.loader if spec is not None else None
        code: CodeType | None = loader.get_code(self.module)
        return code


def install() -> None:
    """Let `import` ask the table, after everything else."""
    if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
        sys.meta_path.append(OldNames())
