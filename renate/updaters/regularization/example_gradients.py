"""The gradient of each example by itself, many at a time."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from renate.data.batch import Columns
from renate.data.items.served import in_order
from renate.data.model_inputs import ModelInputs, divide
from renate.models.own.untouched import untouched
from renate.ranks import Ranks
from renate.updaters.base import Updater
from renate.updaters.regularization.anchors import trained

OfExample = Callable[[Tensor, Tensor], Tensor]  # outputs [1, K], target [1, ...] -> scalar
OfEach = Callable[[Tensor], Tensor]  # gradients of a parameter, or the function's values -> alike


def example_gradients(
    model: nn.Module, function: OfExample, inputs: ModelInputs, targets: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return the gradient of a function of each example with respect to each trained parameter.

    By `torch.func`, all at once; one after another for a model that it can't transform. Both are
    exact. The model should be in evaluation mode, where examples don't meet.

    Args:
        model: Inputs -> outputs.
        function: Of one example's outputs and target.
        inputs: [B, ...], or a mapping of such.
        targets: [B, ...].

    Returns:
        Gradients [B, *shape] in the order of `trained(model)`, and the function's values [B].
    """
    parameters = dict(trained(model))
    several = inputs if isinstance(inputs, Tensor) else dict(inputs)

    def of_one(weights: dict[str, Tensor], one: ModelInputs, target: Tensor) -> Tensor:
        single: ModelInputs
        if isinstance(one, Tensor):
            single = one.unsqueeze(0)
        else:
            single = {name: each.unsqueeze(0) for name, each in one.items()}
        return function(functional_call(model, weights, (single,)), target.unsqueeze(0))

    each = vmap(grad_and_value(of_one), in_dims=(None, 0, 0))
    weights = {name: parameter.detach() for name, parameter in parameters.items()}
    try:
        gradients, values = each(weights, several, targets)
    except RuntimeError:  # control flow that depends on values, an operation without a batch rule
        return _one_by_one(model, function, inputs, targets)

    return [gradients[name] for name in parameters], values


def _one_by_one(
    model: nn.Module, function: OfExample, inputs: ModelInputs, targets: Tensor
) -> tuple[list[Tensor], Tensor]:
    parameters = [parameter for _, parameter in trained(model)]
    found: list[tuple[Tensor, ...]] = []
    values: list[Tensor] = []
    rest = inputs
    for target in torch.split(targets, 1):
        one, rest = divide(rest, 1)
        with torch.enable_grad():
            value = function(model(one), target)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        found.append(
            tuple(
                torch.zeros_like(parameter) if gradient is None else gradient
                for parameter, gradient in zip(parameters, gradients, strict=True)
            )
        )
        values.append(value.detach())

    return [torch.stack(several) for several in zip(*found, strict=True)], torch.stack(values)


def mean_over_examples(
    updater: Updater,
    model: nn.Module,
    columns: Columns,
    function: OfExample,
    taken: OfEach,
    factor: OfEach,
    batch_size: int,
) -> list[Tensor]:
    """Return the mean over examples of something of their gradients, parameter by parameter.

    Examples that have weights are averaged by these.

    Args:
        updater: Its `test_transform` makes the batches, without what is random; its memory knows
            of other processes, each of which has a share of the examples.
        model: Left as it is.
        columns: The examples, raw.
        function: What gradients are of.
        taken: What is averaged, from gradients [B, ...].
        factor: What it is multiplied by, from the function's values [B].
        batch_size: Examples at a time: so many times the trained weights are in memory at once.
    """
    transform = updater.test_transform or updater.memory.transform
    assert transform is not None, "the job binds it"

    totals = [torch.zeros_like(parameter) for _, parameter in trained(model)]
    weight = torch.zeros((), dtype=torch.float64)

    with untouched(model):
        for raw in in_order(columns, batch_size):
            batch = transform(raw)
            gradients, values = example_gradients(model, function, batch.inputs, batch.targets)
            weights = batch.weights
            if weights is None:
                weights = torch.ones_like(values)
            weight += weights.sum().double().cpu()
            factors = weights * factor(values)
            for total, gradient in zip(totals, gradients, strict=True):
                rows = taken(gradient).flatten(1)
                total += (factors.to(rows) @ rows).view_as(total)

    memory = updater.memory
    Ranks(memory.rank, memory.ranks).sum_in_place([*totals, weight])
    return [total / float(weight.clamp(min=1e-12)) for total in totals]
