"""A version as one module of plain tensors: preprocessing, network, and the problem's answers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from renate.data.batch import BatchTransform
from renate.data.model_inputs import LENGTHS, InputMapping, ModelInputs, mapping_of, named_columns
from renate.data.ragged import Ragged
from renate.data.tables.standardize import Standardize
from renate.export.examples import Stored
from renate.jobs.predicting.predictor import Predictor

INPUT = "inputs"
OUTPUT = "answers"


class Served(nn.Module):
    """From a batch of stored inputs to the problem's answers: logits of classes, probabilities of
    labels, numbers in their own units.

    Args:
        predictor: The version.
        names: Of the tensors that it takes, in their order.

    Attributes:
        mean: Of each column, float64 [C], where the version standardises columns.
        std: Of each column, float64 [C].
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, predictor: Predictor, names: Sequence[str]) -> None:
        super().__init__()
        self.predictor = predictor
        self.names = list(names)
        encoder = predictor.encoder
        scales = isinstance(encoder, Standardize)
        self.register_buffer("mean", encoder.mean if isinstance(encoder, Standardize) else None)
        self.register_buffer("std", encoder.std if isinstance(encoder, Standardize) else None)
        self.scales = scales
        self.eval()

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return answers [B, K], of a single number [B], of the tensors [B, ...] by name."""
        inputs: ModelInputs = tensors[0]
        if self.names != [INPUT]:
            inputs = InputMapping(dict(zip(self.names, tensors, strict=True)))
        elif self.scales:
            assert self.mean is not None
            assert self.std is not None
            inputs = ((tensors[0].double() - self.mean) / self.std).float()

        transform = BatchTransform([*self.predictor.transforms])
        inputs = transform.transformed(inputs)
        updater = self.predictor.updater
        if updater is not None:
            outputs = updater.predict(self.predictor.model, inputs)
        else:
            outputs = self.predictor.model(inputs)
        return self.predictor.problem.answers(outputs)


def tensors_in(stored: Stored) -> dict[str, Tensor]:
    """Return stored inputs as an exported graph takes them: `inputs`, or by name, rows of any
    length padded, with their lengths beside.
    """
    if isinstance(stored, Tensor):
        return {INPUT: stored}
    return dict(mapping_of(named_columns(stored), torch.device("cpu")))


def rows_of(stored: Stored, rows: slice) -> Stored:
    """Return some rows of stored inputs."""
    if isinstance(stored, Tensor):
        return stored[rows]
    return {name: column[rows] for name, column in stored.items()}


def lengths_vary(stored: Stored) -> list[str]:
    """Return the names of the tensors whose second dimension is as long as a batch's longest
    row.
    """
    if isinstance(stored, Tensor):
        return []
    return [name for name, column in stored.items() if isinstance(column, Ragged)]


def is_lengths(name: str) -> bool:
    """Whether a tensor holds the lengths of another's rows."""
    return name.endswith(LENGTHS)
