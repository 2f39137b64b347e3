"""What models of texts are called with: ids of tokens, padded to the longest of a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor

from renate.data.model_inputs import LENGTHS


def ids_of(inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the ids of tokens, int64 [B, L].

    Raises:
        ValueError: The inputs are no texts.
    """
    if not isinstance(inputs, Mapping) or "ids" not in inputs:
        found = "one tensor"
        if isinstance(inputs, Mapping):
            found = ", ".join(inputs)
        raise ValueError(f"a model of texts takes 'ids' and 'ids{LENGTHS}', found {found}")
    return inputs["ids"]


def mask_of(inputs: Mapping[str, Tensor]) -> Tensor:
    """Return where a row's own tokens are, bool [B, L]; behind them is padding."""
    ids = inputs["ids"]
    return torch.arange(ids.shape[1], device=ids.device) < inputs[f"ids{LENGTHS}"][:, None]
