"""A program of torch.export, by `torch.export.load(…).module()`, for any size of a batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

if TYPE_CHECKING:
    from renate.export.export import Run, Source

FILE = "model.pt2"


def write(source: "Source", folder: Path) -> "Run":
    """Write the program, and return what runs the file that was written."""
    torch.export.save(program_of(source), folder / FILE)
    return runner_of(folder / FILE)


def runner_of(file: Path) -> "Run":
    """Return what runs a program's file."""
    module = torch.export.load(file).module()

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        answers: Tensor = module(*inputs.values())
        return answers

    return run


def program_of(source: "Source") -> ExportedProgram:
    """Trace a version, with room for batches of any size and rows of any length."""
    batch = Dim("batch")
    shapes: list[dict[int, Any]] = []
    for name in source.inputs:
        shape: dict[int, Any] = {0: batch}
        if name in source.varying:
            # At most as many as a network has places for, which the tracer finds; that it didn't
            # take the length for a constant shows when the export is compared
            shape[1] = Dim.AUTO
        shapes.append(shape)

    with torch.no_grad():
        return torch.export.export(
            source.served,
            tuple(source.inputs.values()),
            dynamic_shapes={"tensors": tuple(shapes)},
            strict=False,
        )
