"""A copy that follows a model, against the formula of its source."""

import copy

import pytest
import torch
from torch import nn

from renate.updaters.shared.averages import AveragedCopy


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, outputs))


def wander(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape, generator=generator))
            else:
                tensor.add_(1)


def test_the_average_is_the_papers_and_begins_as_a_mean() -> None:
    model = network()
    average = AveragedCopy(model, decay=0.75)
    seen = [model[0].weight.detach().clone()]
    expected = seen[0].clone()
    for step in range(1, 7):
        wander(model, step)
        average.follow(model)
        seen.append(model[0].weight.detach().clone())
        decay = min(1 - 1 / (step + 1), 0.75)
        expected = decay * expected + (1 - decay) * seen[-1]
        torch.testing.assert_close(average.model[0].weight, expected)
        if step <= 3:
            torch.testing.assert_close(average.model[0].weight, torch.stack(seen).mean(0))

    assert int(average.model[1].num_batches_tracked) == 6
    assert not torch.equal(average.model[1].running_mean, model[1].running_mean)


def test_weights_that_are_tied_are_averaged_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    average = AveragedCopy(model, decay=0.5)
    before = model[0].weight.detach().clone()
    wander(model, seed=1)
    average.follow(model)

    assert average.model[2].weight is average.model[0].weight
    expected = (before + model[0].weight.detach()) / 2
    torch.testing.assert_close(average.model[0].weight, expected)


def test_it_computes_in_evaluation_mode_and_gives_no_gradients() -> None:
    model = network().train()
    average = AveragedCopy(model, decay=0.9).train()
    inputs = torch.randn(6, 5)
    outputs = average(inputs)
    assert torch.equal(outputs, model.eval()(inputs))
    assert torch.equal(outputs, average(inputs)), "dropout is off"
    assert not outputs.requires_grad
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert int(average.model[1].num_batches_tracked) == 0


def test_it_follows_at_the_share_of_steps_that_is_asked_for() -> None:
    model = network()
    average = AveragedCopy(model, decay=0.5, frequency=0.3)
    moved = 0
    for step in range(1000):
        before = average.model[3].bias.clone()
        wander(model, step)
        average.follow(model)
        moved += not torch.equal(before, average.model[3].bias)

    assert abs(moved - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5


def test_saved_within_a_fit_it_goes_on_bit_for_bit() -> None:
    model = network()
    average = AveragedCopy(model, decay=0.9, frequency=0.5)
    for step in range(5):
        wander(model, step)
        average.follow(model)

    torch.manual_seed(99)
    other = AveragedCopy(network(), decay=0.9, frequency=0.5)
    other.follow(network())  # what it counted itself gives way to what is loaded
    other.load_state_dict(copy.deepcopy(average.state_dict()))
    for step in range(5, 25):
        wander(model, step)
        average.follow(model)
        other.follow(model)

    saved = average.state_dict()
    loaded = other.state_dict()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    assert int(loaded["steps"]) == 25


@pytest.mark.parametrize(
    ("decay", "frequency", "text"),
    [
        (1.0, 1.0, "decay=1.0: expected 0 to less than 1"),
        (-0.1, 1.0, "decay=-0.1"),
        (0.9, 0.0, "frequency=0.0: expected more than 0, and 1 at most"),
        (0.9, 1.5, "frequency=1.5"),
    ],
)
def test_bounds_of_averages(decay: float, frequency: float, text: str) -> None:
    with pytest.raises(ValueError, match=text.replace(".", r"\.")):
        AveragedCopy(network(), decay, frequency)
