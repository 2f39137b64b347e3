"""What a config file's functions would return, as objects that a script has at hand."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from renate.compat.data.data_module import RenateDataModule
from renate.compat.files.description import Description
from renate.compat.models.renate_module import RenateModule
from renate.libraries.torch import load_tensors


class PassedData(RenateDataModule):
    """Data sets that the caller has made.

    Args:
        train: What to train on.
        val: What to choose the best epoch by; None where there is none.
    """

    def __init__(self, train: Dataset[Any], val: Dataset[Any] | None) -> None:
        super().__init__("")
        self._train_data = train
        self._val_data = val

    def prepare_data(self) -> None:
        """They are there."""

    def setup(self) -> None:
        """They are there."""


@dataclass
class PassedFunctions:
    """Stands for a config file in the process of a job.

    Attributes:
        model: The network.
        data: Its training and validation data.
        returned: Name of a config file's further function -> what it would return.
    """

    model: nn.Module
    data: PassedData
    returned: dict[str, Any] = field(default_factory=dict)

    def describe(self, path: Path) -> Description:
        """Return what the config file would be described as.

        Args:
            path: Where these objects are held.
        """
        functions: dict[str, tuple[str, ...]] = {
            "model_fn": ("model_state_url",),
            "data_module_fn": (),
        }
        functions |= dict.fromkeys(self.returned, ())
        metrics = self.returned.get("metrics_fn", {})
        return Description(path, functions, metrics=tuple(metrics))

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Return what a function of a config file would."""
        if function == "data_module_fn":
            return self.data
        if function == "model_fn":
            return self._made(arguments.get("model_state_url"))

        found = self.returned[function]
        if function == "metrics_fn":
            return deepcopy(found)
        return found

    def _made(self, weights: str | None) -> nn.Module:
        made = deepcopy(self.model)
        if weights is not None:
            load(made, load_tensors(Path(weights)))
        return made


def load(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Load a state's weights into a network, which first gets what these have for tasks.

    Args:
        model: Changed in place.
        weights: Those of its state_dict, by name.
    """
    found = dict(weights)
    if isinstance(model, RenateModule):
        model.begin_from(found)
    model.load_state_dict(found)
