"""Sums over examples of what linear layers' gradients give, without each example's gradient.

An example's gradient of a linear layer's weights is the outer product of the gradient δ with
respect to what the layer answers, and of what it is given, x. Squares and absolute values of a
product are products of such, so that Σ_b c_b taken(δ_b xᵀ_b) = (c · taken(δ))ᵀ taken(x): one
product of matrices for a whole batch.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from renate.data.batch import Batch
from renate.updaters.regularization.example_gradients import OfExample, gradients_at_once
from renate.updaters.shared.trained import trained

OfEach = Callable[[Tensor], Tensor]  # gradients of a parameter, or the function's values -> alike
ALIKE = 1e-2  # of the largest entry: what two ways of computing may differ by, at any precision


def linear_sums(
    model: nn.Module,
    layers: Collection[str],
    function: OfExample,
    batch: Batch,
    taken: OfEach,
    factors: OfEach,
) -> dict[str, Tensor]:
    """Return the sums over a batch's examples, at least float32, by parameters' names.

    Left out is what belongs to a layer that isn't called once with one row an example.

    Args:
        model: In evaluation mode.
        layers: Names of linear layers, see `linear_layers`.
        function: What gradients are of.
        batch: B examples.
        taken: What is summed; of a product it is the product, as of squares.
        factors: What it is multiplied by, [B], from the function's values [B].
    """
    if not layers:
        return {}

    calls: dict[str, list[tuple[Any, Tensor]]] = {name: [] for name in layers}

    def listen(name: str) -> Any:
        def hear(layer: nn.Module, given: Any, answer: Tensor) -> Tensor:
            nudge = torch.zeros_like(answer, requires_grad=True)
            calls[name].append((given, nudge))
            # A tensor of its own, which may be changed in place
            return answer + nudge

        return model.get_submodule(name).register_forward_hook(hear)

    handles = [listen(name) for name in layers]
    try:
        with torch.enable_grad():
            outputs = model(batch.inputs)
            values = vmap(function)(outputs.unsqueeze(1), batch.targets.unsqueeze(1))
            total = values.sum()
    finally:
        for handle in handles:
            handle.remove()

    used = {
        name: (given[0].detach(), nudge)
        for name, [(given, nudge), *again] in ((n, c) for n, c in calls.items() if c)
        if not again and len(given) == 1 and given[0].ndim == 2 and len(given[0]) == len(batch)
    }
    if not used:
        return {}

    weights = factors(values.detach())
    nudges = [nudge for _, nudge in used.values()]
    slopes = torch.autograd.grad(total, nudges, materialize_grads=True)
    sums: dict[str, Tensor] = {}
    for (name, (given, _)), slope in zip(used.items(), slopes, strict=True):
        layer = model.get_submodule(name)
        exact = torch.promote_types(slope.dtype, torch.float32)
        weighed = taken(slope).to(exact) * weights.to(exact)[:, None]
        sums[f"{name}.weight"] = weighed.T @ taken(given).to(exact)
        if layer.bias is not None:
            sums[f"{name}.bias"] = weighed.sum(0)

    named = {name.removeprefix("."): each for name, each in sums.items()}
    return {name: each for name, each in named.items() if name in trained(model)}


def linear_layers(
    model: nn.Module, function: OfExample, few: Batch, taken: OfEach
) -> tuple[str, ...]:
    """Return the names of the layers whose sums `linear_sums` finds as `torch.func` does.

    A model may use a layer's weights otherwise than by calling it, or let examples meet: so a few
    are computed both ways, and layers count where both agree. Where `torch.func` can't transform
    the model there is nothing to compare with, and none does.

    Args:
        model: In evaluation mode.
        function: What gradients are of.
        few: Examples.
        taken: See `linear_sums`.
    """
    names = _candidates(model)
    try:
        found = linear_sums(model, names, function, few, taken, torch.ones_like)
        gradients, _ = gradients_at_once(model, function, few.inputs, few.targets, found)
    except RuntimeError:
        return ()

    there = {name.rpartition(".")[0] for name in found}
    in_order = [name for name in trained(model) if name in found]
    for name, gradient in zip(in_order, gradients, strict=True):
        if not _are_alike(found[name], taken(gradient).sum(0)):
            there.discard(name.rpartition(".")[0])

    return tuple(name for name in names if name in there)


def _candidates(model: nn.Module) -> list[str]:
    """Linear layers whose parameters belong to them alone, and that nothing is hooked to."""
    owners = Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    )
    found = []
    for name, layer in model.named_modules():
        own = [each for each in layer._parameters.values() if each is not None]
        is_plain = type(layer) is nn.Linear and not layer._forward_hooks
        if not is_plain or layer._forward_pre_hooks or layer._parameters.get("weight") is None:
            continue
        if any(each.requires_grad for each in own) and all(owners[id(each)] == 1 for each in own):
            found.append(name)

    return found


def _are_alike(one: Tensor, other: Tensor) -> bool:
    apart = (one - other.to(one)).abs().max()
    return bool(apart <= ALIKE * other.abs().max())
