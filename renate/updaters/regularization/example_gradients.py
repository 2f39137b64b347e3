"""The gradient of each example by itself, many at a time."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from renate.data.model_inputs import ModelInputs, divide
from renate.updaters.shared.trained import trained

OfExample = Callable[[Tensor, Tensor], Tensor]  # outputs [1, K], target [1, ...] -> scalar


def example_gradients(
    model: nn.Module,
    function: OfExample,
    inputs: ModelInputs,
    targets: Tensor,
    names: Collection[str] | None = None,
) -> tuple[list[Tensor], Tensor]:
    """Return the gradient of a function of each example with respect to each trained parameter.

    By `torch.func`, all at once; one after another for a model that it can't transform. Both are
    exact. The model should be in evaluation mode, where examples don't meet.

    Args:
        model: Inputs -> outputs.
        function: Of one example's outputs and target.
        inputs: [B, ...], or a mapping of such.
        targets: [B, ...].
        names: Of the parameters that gradients are taken of; None takes all that are trained.

    Returns:
        Gradients [B, *shape] in the order of `trained(model)`, and the function's values [B].
    """
    try:
        return gradients_at_once(model, function, inputs, targets, names)
    except RuntimeError:  # control flow that depends on values, an operation without a batch rule
        return _one_by_one(model, function, inputs, targets, names)


def gradients_at_once(
    model: nn.Module,
    function: OfExample,
    inputs: ModelInputs,
    targets: Tensor,
    names: Collection[str] | None = None,
) -> tuple[list[Tensor], Tensor]:
    """The same by `torch.func` alone.

    Raises:
        RuntimeError: It can't transform the model or the function.
    """
    several = inputs if isinstance(inputs, Tensor) else dict(inputs)

    def of_one(weights: dict[str, Tensor], one: ModelInputs, target: Tensor) -> Tensor:
        single: ModelInputs
        if isinstance(one, Tensor):
            single = one.unsqueeze(0)
        else:
            single = {name: each.unsqueeze(0) for name, each in one.items()}
        return function(functional_call(model, weights, (single,)), target.unsqueeze(0))

    each = vmap(grad_and_value(of_one), in_dims=(None, 0, 0))
    weights = {name: parameter.detach() for name, parameter in _chosen(model, names).items()}
    gradients, values = each(weights, several, targets)

    return [gradients[name] for name in weights], values


def _one_by_one(
    model: nn.Module,
    function: OfExample,
    inputs: ModelInputs,
    targets: Tensor,
    names: Collection[str] | None,
) -> tuple[list[Tensor], Tensor]:
    parameters = [*_chosen(model, names).values()]
    found: list[tuple[Tensor, ...]] = []
    values: list[Tensor] = []
    rest = inputs
    for target in torch.split(targets, 1):
        one, rest = divide(rest, 1)
        with torch.enable_grad():
            value = function(model(one), target)
        found.append(torch.autograd.grad(value, parameters, materialize_grads=True))
        values.append(value.detach())

    return [torch.stack(several) for several in zip(*found, strict=True)], torch.stack(values)


def _chosen(model: nn.Module, names: Collection[str] | None) -> dict[str, nn.Parameter]:
    parameters = trained(model)
    if names is None:
        return parameters
    return {name: each for name, each in parameters.items() if name in names}
