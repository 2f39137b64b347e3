"""What models of texts are called with: ids of tokens, padded to the longest of a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor

from renate.checks.bounds import at_least_1, count
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


def check_sizes(ids: Mapping[str, int], **sizes: int) -> None:
    """Return if a model of texts can be made of these sizes.

    Args:
        ids: Name -> the id of a token, below `vocab_size`.
        **sizes: They, with `vocab_size`.

    Raises:
        ValueError: A size is no whole number of 1 or more, or an id is no token's.
    """
    at_least_1(**sizes)
    count(**ids)
    for name, value in ids.items():
        if value >= sizes["vocab_size"]:
            raise ValueError(
                f"{name}={value}: expected less than vocab_size={sizes['vocab_size']}, as ids of "
                "tokens are"
            )
