"""Gradients of all of a model's parameters that are trained, as one vector, in its order."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from renate.updaters.shared.trained import trained


def gradient_at_hand(model: nn.Module) -> Tensor:
    """Return what the last backward left, [P]; parameters that had no part count as 0."""
    parts = []
    for parameter in trained(model).values():
        gradient = parameter.grad
        if gradient is None:
            gradient = torch.zeros_like(parameter)
        parts.append(gradient.flatten())

    return torch.cat(parts)


def gradient_of(loss: Tensor, model: nn.Module, *, processes: int = 1) -> Tensor:
    """Return the gradient of a loss, [P], which leaves what the last backward left as it was.

    Args:
        loss: A scalar.
        model: What it is the loss of.
        processes: How many train the model together; each gets the mean of theirs.
    """
    parameters = [*trained(model).values()]
    found = torch.autograd.grad(loss, parameters, materialize_grads=True)
    # torch 2.6 makes zeros of a kind that asks for gradients of their own
    gradient = torch.cat([each.detach().flatten() for each in found])
    if processes > 1:
        dist.all_reduce(gradient)
        gradient /= processes

    return gradient


@torch.no_grad()
def set_gradient(model: nn.Module, gradient: Tensor) -> None:
    """Let the optimizer step by a gradient, [P], in place of the one at hand.

    A parameter that has none, and whose part is 0, still has none afterwards: of a gradient of 0 an
    optimizer makes a step by weight decay and momentum.
    """
    begin = 0
    for parameter in trained(model).values():
        size = parameter.numel()
        part = gradient[begin : begin + size].view_as(parameter)
        begin += size
        if parameter.grad is not None:
            parameter.grad.copy_(part)
        elif bool(part.any()):
            parameter.grad = part.clone()
