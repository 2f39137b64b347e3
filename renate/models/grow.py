"""A larger head."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from renate.errors import StateError


@torch.no_grad()
def grow(old: nn.Module, new: nn.Module) -> nn.Module:
    """Copy the tensors of `old` into `new`, which has more outputs; rows that only `new` has keep
    their fresh values.

    Args:
        old: The model before.
        new: The same model, built with more classes. Changed in place and returned.

    Raises:
        StateError: A tensor differs in more than the number of its rows, or is in one of the models
            only.
    """
    carry(old.state_dict(), new.state_dict(), "model")
    return new


@torch.no_grad()
def carry(before: Mapping[str, Tensor], after: Mapping[str, Tensor], whose: str) -> None:
    """Copy tensors into those of the same names that may have more rows.

    Args:
        before: The tensors as they were.
        after: Changed in place; rows that only these have keep their values.
        whose: What they belong to, for messages.

    Raises:
        StateError: See `grow`.
    """
    if lone := sorted(before.keys() ^ after.keys()):
        where = "larger"
        if lone[0] in before:
            where = "smaller"

        raise StateError(f"model.grow=true: only the {where} {whose} has a tensor '{lone[0]}'")

    for name, tensor in after.items():
        source = before[name]
        if (
            source.ndim != tensor.ndim
            or source.shape[1:] != tensor.shape[1:]
            or (len(source.shape) and len(source) > len(tensor))
        ):
            raise StateError(
                f"model.grow=true: {whose}: tensor '{name}' would go from {list(source.shape)} to "
                f"{list(tensor.shape)}; "
                "only the first dimension may grow"
            )

        (tensor if not source.ndim else tensor[: len(source)]).copy_(source)
