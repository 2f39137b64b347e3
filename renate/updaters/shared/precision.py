"""Sums over many steps, which half precision doesn't hold."""

from collections.abc import Iterable

import torch
from torch import Tensor

from renate.errors import ConfigError

HALF = (torch.float16, torch.bfloat16)


def check_precision(tensors: Iterable[Tensor], what: str) -> None:
    """Return if none of some tensors is of half precision, in which adding little changes nothing.

    Args:
        tensors: What is added to, step by step.
        what: It is, for the message: `an average of weights`.

    Raises:
        ConfigError: One is.
    """
    for tensor in tensors:
        if tensor.dtype in HALF:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ConfigError(
                f"trainer.precision: {what} adds up what {kind} rounds away: "
                "trainer.precision=bf16-mixed, or leave it out"
            )
