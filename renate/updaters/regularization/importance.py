"""How much the weights matter for examples: the mean of something of each one's gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.data.items.served import first_of, in_order
from renate.models.own.untouched import untouched
from renate.ranks import Ranks
from renate.updaters.base import Updater
from renate.updaters.regularization.example_gradients import OfExample, example_gradients
from renate.updaters.regularization.linear_layers import OfEach, linear_layers, linear_sums
from renate.updaters.shared.passes import ROWS
from renate.updaters.shared.trained import trained

TRIED = 4  # examples that show how the gradients of a model may be taken


def mean_over_examples(
    updater: Updater,
    model: nn.Module,
    columns: Columns,
    function: OfExample,
    taken: OfEach,
    factor: OfEach,
    batch_size: int,
) -> list[Tensor]:
    """Return the mean over examples of something of their gradients, parameter by parameter, at
    least float32.

    Linear layers that are given one row an example need none of the gradients by themselves, and
    where there are no others, batches are as large as for a prediction. Examples that have weights
    are averaged by these.

    Args:
        updater: Its `test_transform` makes the batches, without what is random; its memory knows
            of other processes, each of which has a share of the examples.
        model: Left as it is.
        columns: The examples, raw.
        function: What gradients are of.
        taken: What is averaged, from gradients; of a product it is the product, as of squares.
        factor: What it is multiplied by, [B], from the function's values [B].
        batch_size: Examples whose gradients are taken at once: as many times the weights of other
            layers are in memory then.
    """
    transform = updater.test_transform or updater.memory.transform
    assert transform is not None, "the job binds it"

    # In bfloat16 a sum would stop growing after some hundred examples
    totals = {
        name: torch.zeros_like(each, dtype=torch.promote_types(each.dtype, torch.float32))
        for name, each in trained(model).items()
    }
    weight = torch.zeros((), dtype=torch.float64)

    with untouched(model):
        layers = linear_layers(model, function, transform(first_of(columns, TRIED)), taken)
        for raw in in_order(columns, _rows_at_once(model, layers, batch_size)):
            batch = transform(raw)
            weights = batch.weights
            if weights is None:
                weights = torch.ones(len(batch), device=batch.targets.device)
            weight += weights.sum().double().cpu()

            factors = _weighed(factor, weights)
            found = linear_sums(model, layers, function, batch, taken, factors)
            others = [name for name in totals if name not in found]
            if others:
                found |= _other_sums(model, others, function, batch, taken, factors)
            for name, each in found.items():
                totals[name] += each

    memory = updater.memory
    Ranks(memory.rank, memory.ranks).sum_in_place([*totals.values(), weight])
    return [total / float(weight.clamp(min=1e-12)) for total in totals.values()]


def _rows_at_once(model: nn.Module, layers: Sequence[str], batch_size: int) -> int:
    """As many as for a prediction, where nothing but linear layers is trained."""
    linear = {id(each) for name in layers for each in model.get_submodule(name).parameters()}
    if all(id(each) in linear for each in trained(model).values()):
        return ROWS
    return batch_size


def _weighed(factor: OfEach, weights: Tensor) -> OfEach:
    return lambda values: weights * factor(values)


def _other_sums(
    model: nn.Module,
    names: Sequence[str],
    function: OfExample,
    batch: Batch,
    taken: OfEach,
    factors: OfEach,
) -> dict[str, Tensor]:
    """The sums over a batch's examples from each one's gradient, by parameters' names."""
    found = example_gradients(model, function, batch.inputs, batch.targets, names)
    weights = factors(found[1])
    sums = {}
    for name, gradient in zip(names, found[0], strict=True):
        exact = torch.promote_types(gradient.dtype, torch.float32)
        rows = taken(gradient).flatten(1).to(exact)
        sums[name] = (weights.to(exact) @ rows).view(gradient.shape[1:])

    return sums
