"""Weights as they are, with what says how to build the network: for who has its class."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from renate.export.served import Served
from renate.jobs.saved.from_state import load_into
from renate.state.tensors import shapes_from

if TYPE_CHECKING:
    from renate.export.export import Run, Source

FILES = ("model.safetensors", "model.json")
UPDATER = "updater.safetensors"


def write(source: "Source", folder: Path) -> "Run":
    """Copy the version's files, and return what runs a network that they were loaded into."""
    from safetensors.torch import load

    names = [*FILES]
    if source.predictor.updater is not None:
        names.append(UPDATER)
    for name in names:
        (folder / name).write_bytes(source.state.read(source.manifest, name))

    predictor = copy.deepcopy(source.predictor)
    parts = {"model.safetensors": predictor.model}
    if predictor.updater is not None:
        parts[UPDATER] = predictor.updater

    for name, module in parts.items():
        raw = (folder / name).read_bytes()
        shapes_from(raw, name)
        with torch.no_grad():
            for tensor in module.state_dict().values():
                tensor.zero_()
        load_into(module, load(raw), name)

    served = Served(predictor, list(source.inputs))

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        answers: Tensor = served(*inputs.values())
        return answers

    return run
