"""What a model is called with: one tensor, or a mapping from names to tensors.

Columns called `inputs.<name>` are the tensors of a mapping. A ragged one becomes two: `<name>`,
[B, L, ...], padded to the longest row of the batch, and `<name>_lengths`, int64 [B].
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from renate.data.devices.copies import sent
from renate.data.ragged import Number, Ragged
from renate.errors import DataError

PREFIX = "inputs."
LENGTHS = "_lengths"
TASK = "task_id"  # the column of each example's head, int64 [N], where the model has several


class InputMapping(dict[str, Tensor]):
    """Name -> tensor [B, ...]: what a model is called with where its inputs are several.

    Attributes:
        paddings: Name -> what stands behind the ends of its rows, of each that was padded.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], paddings: Mapping[str, Number] | None = None
    ) -> None:
        super().__init__(tensors)
        self.paddings = dict(paddings or {})


ModelInputs = Tensor | dict[str, Tensor]


def names_of(columns: Mapping[str, Any]) -> list[str]:
    """Return the columns that are inputs: `inputs`, or those of a mapping, as they are called."""
    return [name for name in columns if name == "inputs" or name.startswith(PREFIX)]


def named_columns(inputs: Any) -> dict[str, Any]:
    """Return inputs as columns: one tensor as `inputs`, a mapping's as `inputs.<name>`."""
    if isinstance(inputs, Mapping):
        return {f"{PREFIX}{name}": column for name, column in inputs.items()}
    return {"inputs": inputs}


def mapping_of(columns: Mapping[str, Any], device: torch.device) -> InputMapping:
    """Return the mapping that a model takes, on a device: ragged columns padded, with lengths."""
    tensors: dict[str, Tensor] = {}
    paddings: dict[str, Number] = {}

    for column_name in names_of(columns):
        name = column_name.removeprefix(PREFIX)
        column = columns[column_name]
        if isinstance(column, Ragged):
            tensors[name] = column.padded().to(device, non_blocking=True)
            tensors[name + LENGTHS] = column.lengths.to(device, non_blocking=True)
            paddings[name] = column.padding
        else:
            tensors[name] = sent(column, device)

    return InputMapping(tensors, paddings)


def single(inputs: Any, who: str) -> Tensor:
    """Return inputs that are one tensor.

    Args:
        inputs: A tensor or a mapping.
        who: What needs it, for messages.

    Raises:
        DataError: They are a mapping.
    """
    if isinstance(inputs, Mapping):
        names = ", ".join(list(inputs)[:5])
        raise DataError(f"{who} takes one tensor, these inputs are several ({names})")

    tensor: Tensor = inputs
    return tensor


def beside_task(inputs: ModelInputs, ids: Tensor) -> InputMapping:
    """Return what a model is called with that has a head for each task: a mapping of the inputs,
    of which a lone tensor is called `inputs`, and of each example's `task_id`, int64 [B].
    """
    if isinstance(inputs, Tensor):
        return InputMapping({"inputs": inputs, TASK: ids})
    return InputMapping({**inputs, TASK: ids}, getattr(inputs, "paddings", None))


def device_of(inputs: ModelInputs) -> torch.device:
    """Return the device that inputs lie on."""
    if isinstance(inputs, Tensor):
        return inputs.device
    return next(iter(inputs.values())).device


def join(first: ModelInputs, second: ModelInputs) -> ModelInputs:
    """Return the inputs of two batches as those of one, the first's rows first.

    What was padded to different lengths is padded to the longer one.

    Raises:
        DataError: They don't fit each other.
    """
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    if isinstance(first, Tensor) or isinstance(second, Tensor) or first.keys() != second.keys():
        raise DataError("inputs of two batches can't be joined: they have other names")

    paddings = getattr(first, "paddings", {})
    tensors = {
        name: _joined(name, tensor, second[name], paddings) for name, tensor in first.items()
    }
    return InputMapping(tensors, paddings)


def _joined(name: str, first: Tensor, second: Tensor, paddings: Mapping[str, Number]) -> Tensor:
    if name in paddings:
        longest = max(first.shape[1], second.shape[1])
        first = _padded(first, longest, paddings[name])
        second = _padded(second, longest, paddings[name])

    if first.shape[1:] != second.shape[1:]:
        raise DataError(
            f"inputs '{name}' are {list(first.shape)} and {list(second.shape)}, which can't be "
            "joined: a transform of a mapping keeps its `paddings` (InputMapping)"
        )

    return torch.cat([first, second])


def _padded(tensor: Tensor, length: int, padding: Number) -> Tensor:
    more = length - tensor.shape[1]
    if not more:
        return tensor
    behind = [0, 0] * (tensor.ndim - 2) + [0, more]
    return F.pad(tensor, behind, value=padding)


def divide(inputs: ModelInputs, rows: int) -> tuple[ModelInputs, ModelInputs]:
    """Return the first `rows` rows of inputs, and the others."""
    if isinstance(inputs, Tensor):
        return inputs[:rows], inputs[rows:]

    paddings = getattr(inputs, "paddings", {})
    first = {name: tensor[:rows] for name, tensor in inputs.items()}
    second = {name: tensor[rows:] for name, tensor in inputs.items()}
    return InputMapping(first, paddings), InputMapping(second, paddings)
