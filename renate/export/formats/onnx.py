"""ONNX, as onnxruntime runs it, for any size of a batch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from renate.export.formats.torch_export import program_of
from renate.export.served import OUTPUT
from renate.extras import load

if TYPE_CHECKING:
    from renate.export.export import Run, Source

FILE = "model.onnx"
WHO = "--format onnx"


def write(source: "Source", folder: Path) -> "Run":
    """Write the graph, and return what runs it in onnxruntime."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        load(package, "export", WHO)

    program = program_of(source)
    with _quiet():
        torch.onnx.export(
            program,
            f=folder / FILE,
            input_names=list(source.inputs),
            output_names=[OUTPUT],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return runner_of(folder / FILE)


def runner_of(file: Path) -> "Run":
    """Return what runs an ONNX file on the CPU."""
    runtime = load("onnxruntime", "export", WHO)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        given = {name: tensor.numpy() for name, tensor in inputs.items()}
        (answers,) = session.run([OUTPUT], given)
        return torch.from_numpy(answers)

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of each of its steps, and warns of its own future."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
