"""Rows that every update adds to."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Growing(nn.Module):
    """The rows of earlier updates, which stay, and those of the newest, which are trained.

    Args:
        first: What the first update begins with, [R, ...].

    Attributes:
        past: Of earlier updates, [N, ...].
        now: Of the newest, [R, ...].
    """

    past: Tensor

    def __init__(self, first: Tensor) -> None:
        super().__init__()
        self.register_buffer("past", first.new_empty(0, *first.shape[1:]))
        self.now = nn.Parameter(first.clone())

    def all(self) -> Tensor:
        """Return all rows, [N + R, ...]."""
        return torch.cat([self.past, self.now])

    @torch.no_grad()
    def begin(self, fresh: Tensor) -> None:
        """Let what was trained stay, and go on with fresh rows, [R, ...]."""
        self.past = torch.cat([self.past, self.now.detach()])
        self.now.copy_(fresh)


def make_room(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give all parts that are `Growing` as many rows as tensors to be loaded have.

    Args:
        module: Which has them.
        tensors: By their names in the module; what doesn't fit otherwise is left to who loads.
    """
    for name, part in module.named_modules():
        if not isinstance(part, Growing):
            continue
        saved = tensors.get(f"{name}.past")
        if saved is not None and saved.shape[1:] == part.past.shape[1:] and saved.ndim:
            part.past = part.past.new_zeros(saved.shape)


def uniform(*shape: int) -> Tensor:
    """Return fresh prompts or keys, drawn from -1 to 1 as L2P's and DualPrompt's code has them."""
    return torch.empty(*shape).uniform_(-1, 1)
