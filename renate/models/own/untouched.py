"""Computing with modules without leaving a trace in them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched(*modules: nn.Module) -> Iterator[None]:
    """Let modules compute in evaluation mode and leave each part's mode and buffers as they were.

    Tensors that their code keeps for later aren't spoilt for training, as `inference_mode` would.
    """
    parts = list(dict.fromkeys(part for module in modules for part in module.modules()))
    modes = [part.training for part in parts]
    buffers = [(b, b.detach().clone()) for module in modules for b in module.buffers()]
    for module in modules:
        module.eval()

    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode

        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)
