"""EWC, SI, MAS and LwF against references written from their papers' equations."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.jobs.saved.from_state import load_into
from renate.updaters.regularization.example_gradients import example_gradients
from renate.updaters.shared.trained import trained
from tests.updaters.made import Branches, batch_of, fit, memory_of, network, updater_of

QUADRATIC = ["ewc", "mas", "si"]


def weights_of(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def by_itself(model: nn.Module, function: Any, inputs: Tensor, targets: Tensor) -> Any:
    """Of each example the value and the gradients, by plain autograd, one after another."""
    for row, target in zip(inputs, targets, strict=True):
        value = function(model(row[None]), target[None])
        yield value.detach(), torch.autograd.grad(value, [*model.parameters()])


def holding(model: nn.Module, anchors: list[Tensor], importance: list[Tensor]) -> Tensor:
    parts = zip(model.parameters(), anchors, importance, strict=True)
    return sum((weight * (now - then) ** 2).sum() for now, then, weight in parts)  # type: ignore[return-value, misc]


@pytest.mark.parametrize("fisher", ["observed", "weighted"])
def test_ewc(fisher: str) -> None:
    model = network()
    updater = updater_of("ewc", memory_of("none"), strength=3.0, gamma=0.5, fisher=fisher)
    updater.fisher_batch_size = 3  # the last batch is a smaller one
    updater.setup(model)

    expected = [torch.zeros_like(weight) for weight in weights_of(model)]
    for update in range(2):
        first, second = batch_of(2 * update), batch_of(2 * update + 1)
        fit(updater, model, [first, second])
        inputs = torch.cat([first.inputs, second.inputs])
        targets = torch.cat([first.targets, second.targets])
        found = [torch.zeros_like(weight) for weight in expected]
        for loss, gradients in by_itself(model, F.cross_entropy, inputs, targets):
            factor = torch.exp(-loss) if fisher == "weighted" else 1.0
            for total, gradient in zip(found, gradients, strict=True):
                total += factor * gradient**2 / len(inputs)
        expected = [0.5 * old + new for old, new in zip(expected, found, strict=True)]
        anchors = weights_of(model)

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3)
    batch = batch_of(9)
    wanted = F.cross_entropy(model(batch.inputs), batch.targets)
    wanted = wanted + 3.0 * holding(model, anchors, expected)
    torch.testing.assert_close(updater.loss(model, batch), wanted)
    assert holding(model, anchors, expected).detach() > 1e-3


def test_mas() -> None:
    model = network()
    updater = updater_of("mas", memory_of("none"), strength=2.0, importance_batch_size=5)
    updater.setup(model)
    expected = [torch.zeros_like(weight) for weight in weights_of(model)]
    for update in range(2):
        batch = batch_of(update, rows=12)
        fit(updater, model, [batch])

        def square(outputs: Tensor, target: Tensor) -> Tensor:
            return (outputs**2).sum()

        for _, gradients in by_itself(model, square, batch.inputs, batch.targets):
            for total, gradient in zip(expected, gradients, strict=True):
                total += gradient.abs() / 12
        anchors = weights_of(model)

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sub_(0.2)
    batch = batch_of(9)
    wanted = F.cross_entropy(model(batch.inputs), batch.targets)
    wanted = wanted + 2.0 * holding(model, anchors, expected)
    torch.testing.assert_close(updater.loss(model, batch), wanted)


def test_si() -> None:
    """The reference integrates the criterion's gradient along the way by itself."""
    model = network()
    twin = copy.deepcopy(model)
    updater = updater_of("si", memory_of("none"), c=0.7, xi=0.05)
    updater.setup(model)
    importance = [torch.zeros_like(weight) for weight in weights_of(twin)]
    anchors = weights_of(twin)

    for update in range(2):
        batches = [batch_of(10 * update + step) for step in range(4)]
        fit(updater, model, batches)
        begun = weights_of(twin)
        path = [torch.zeros_like(weight) for weight in begun]
        for batch in batches:
            parameters = [*twin.parameters()]
            own = torch.autograd.grad(
                F.cross_entropy(twin(batch.inputs), batch.targets), parameters
            )
            held = torch.autograd.grad(holding(twin, anchors, importance), parameters)
            with torch.no_grad():
                for total, parameter, gradient, pull in zip(
                    path, parameters, own, held, strict=True
                ):
                    step = -0.1 * (gradient + 0.7 * pull)
                    parameter += step
                    total -= gradient * step
        for total, way, now, then in zip(importance, path, weights_of(twin), begun, strict=True):
            total += (way / ((now - then) ** 2 + 0.05)).clamp(min=0)
        anchors = weights_of(twin)

    for now, wanted in zip(weights_of(model), anchors, strict=True):
        torch.testing.assert_close(now, wanted)
    for found, wanted in zip(
        updater.anchors.importance.tensors(trained(model)), importance, strict=True
    ):
        torch.testing.assert_close(found, wanted)
    assert max(float(weight.max()) for weight in importance) > 1e-3


def test_lwf() -> None:
    model = network()
    updater = updater_of("lwf", memory_of("none"), alpha=0.6, temperature=2.0)
    updater.setup(model)
    first = batch_of(0)
    first.raw["targets"] = first.targets = first.targets.clamp(max=1)  # never a 2
    fit(updater, model, [first])
    assert updater.seen.tolist() == [True, True, False]

    teacher = copy.deepcopy(model)
    second = batch_of(1)
    updater.start(model, second.raw)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7)
    then = (teacher(second.inputs)[:, :2] / 2.0).softmax(1)
    now = (model(second.inputs)[:, :2] / 2.0).softmax(1)
    wanted = F.cross_entropy(model(second.inputs), second.targets)
    wanted = wanted - 0.6 * (then * now.log()).sum(1).mean()
    torch.testing.assert_close(updater.loss(model, second), wanted)


@pytest.mark.parametrize("name", [*QUADRATIC, "lwf"])
def test_before_anything_was_learned_it_is_the_plain_loss(name: str) -> None:
    model = network()
    updater = updater_of(name, memory_of("none"))
    updater.setup(model)
    batch = batch_of(1)
    updater.start(model, batch.raw)
    wanted = F.cross_entropy(model(batch.inputs), batch.targets)
    assert torch.equal(updater.loss(model, batch), wanted)


@pytest.mark.parametrize("name", [*QUADRATIC, "lwf"])
def test_a_saved_updater_takes_the_same_next_step(name: str) -> None:
    model = network()
    updater = updater_of(name, memory_of("none"))
    updater.setup(model)
    fit(updater, model, [batch_of(0), batch_of(1)])

    twin = copy.deepcopy(model)
    other = updater_of(name, memory_of("none"))
    other.setup(network(seed=5))
    other.load_state_dict(copy.deepcopy(updater.state_dict()))
    for each, network_ in ((updater, model), (other, twin)):
        fit(each, network_, [batch_of(2), batch_of(3)])

    for now, wanted in zip(twin.parameters(), model.parameters(), strict=True):
        assert torch.equal(now, wanted)
    saved = updater.state_dict()
    assert all(torch.equal(saved[key], tensor) for key, tensor in other.state_dict().items())
    assert not torch.equal(weights_of(model)[0], weights_of(network())[0])


@pytest.mark.parametrize("name", [*QUADRATIC, "lwf"])
def test_growth_keeps_what_was_there_and_holds_nothing_new(name: str) -> None:
    model = network()
    updater = updater_of(name, memory_of("none"))
    updater.setup(model)
    fit(updater, model, [batch_of(0), batch_of(1)])
    before = {key: tensor.clone() for key, tensor in updater.own_state().items()}

    larger = network(outputs=5, seed=1)
    other = updater_of(name, memory_of("none"), labels=5)
    other.setup(larger)
    other.grow(larger, before)
    after = other.own_state()
    for key, tensor in before.items():
        assert torch.equal(after[key][: len(tensor)], tensor), key
    grown = [key for key in before if after[key].shape != before[key].shape]
    if name == "lwf":
        assert grown == ["seen"]
        assert not after["seen"][3:].any()
    else:
        assert {key.rpartition(".")[2] for key in grown} == {"2/weight", "2/bias"}
        assert not after["anchors.importance.2/weight"][3:].any()


@pytest.mark.parametrize("make", [network, Branches])
def test_each_examples_gradient(make: Any) -> None:
    torch.manual_seed(0)
    model = make()
    batch = batch_of(3)
    gradients, values = example_gradients(model, F.cross_entropy, batch.inputs, batch.targets)
    assert all(len(gradient) == 8 for gradient in gradients)
    for row, (inputs, target) in enumerate(zip(batch.inputs, batch.targets, strict=True)):
        value = F.cross_entropy(model(inputs[None]), target[None])
        wanted = torch.autograd.grad(value, [*model.parameters()], materialize_grads=True)
        torch.testing.assert_close(values[row], value.detach())
        for found, gradient in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(found[row], gradient)


def test_examples_that_weigh_nothing_have_no_part_in_the_fisher() -> None:
    found = []
    for rows in (slice(None), slice(4)):
        model = network()
        updater = updater_of("ewc", memory_of("none"))
        updater.setup(model)
        raw = batch_of(1).raw | {"weights": torch.tensor([1.0] * 4 + [0.0] * 4)}
        updater.finish(model, {name: column[rows] for name, column in raw.items()})
        found.append(updater.anchors.importance.tensors(trained(model)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_frozen_weights_are_left_alone() -> None:
    model = network()
    model[0].requires_grad_(False)
    updater = updater_of("ewc", memory_of("none"))
    updater.setup(model)
    fit(updater, model, [batch_of(0)])
    assert {*updater.anchors.importance.state_dict()} == {"2/weight", "2/bias"}


@pytest.mark.parametrize("name", QUADRATIC)
def test_what_is_frozen_may_change_between_updates(name: str) -> None:
    """All weights, then the last layer's alone, then all: none is forgotten meanwhile."""
    model = network()
    states = []
    updaters = []
    for number, trains_first in enumerate((True, False, True)):
        model[0].requires_grad_(trains_first)
        updater = updater_of(name, memory_of("none"))
        updater.setup(model)
        if states:
            load_into(updater, dict(states[-1]), "here", "updater")
        fit(updater, model, [batch_of(number), batch_of(number + 10)])
        states.append({key: each.clone() for key, each in updater.own_state().items()})
        updaters.append(updater)

    first, second, third = states
    assert first.keys() == second.keys() == third.keys()
    frozen = {key for key in first if key.endswith(("0/weight", "0/bias"))}
    assert all(torch.equal(first[key], second[key]) for key in frozen)
    assert any(not torch.equal(second[key], third[key]) for key in frozen)
    assert not torch.equal(
        first["anchors.importance.2/weight"], second["anchors.importance.2/weight"]
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1
    wanted = holding(
        model,
        [third[f"anchors.weights.{key}"] for key in ("0/weight", "0/bias", "2/weight", "2/bias")],
        [
            third[f"anchors.importance.{key}"]
            for key in ("0/weight", "0/bias", "2/weight", "2/bias")
        ],
    )
    torch.testing.assert_close(updaters[-1].anchors.penalty(model), wanted)


@pytest.mark.parametrize("name", QUADRATIC)
def test_what_was_frozen_at_first_has_not_mattered_yet(name: str) -> None:
    model = network()
    model[0].requires_grad_(False)
    updater = updater_of(name, memory_of("none"))
    updater.setup(model)
    fit(updater, model, [batch_of(0)])
    before = {key: each.clone() for key, each in updater.own_state().items()}

    larger = network(outputs=5, seed=1)
    for grown, network_ in ((False, model), (True, larger)):
        network_.requires_grad_(True)
        other = updater_of(name, memory_of("none"), labels=5 if grown else 3)
        other.setup(network_)
        if grown:
            other.grow(network_, dict(before))
        else:
            load_into(other, dict(before), "here", "updater")
        assert not other.own_state()["anchors.importance.0/weight"].any()
        assert torch.equal(other.own_state()["anchors.weights.0/weight"], network_[0].weight)
        kept = other.own_state()["anchors.importance.2/weight"][:3]
        assert torch.equal(kept, before["anchors.importance.2/weight"])


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("ewc", {"strength": -1.0}, "strength=-1.0: expected 0 or more"),
        ("ewc", {"gamma": 1.5}, "gamma=1.5: expected 0 to 1"),
        ("ewc", {"fisher": "true"}, "fisher='true': expected observed or weighted"),
        ("ewc", {"fisher_batch_size": 0}, "fisher_batch_size=0: expected 1 or more"),
        ("mas", {"strength": float("nan")}, "strength=nan: expected 0 or more"),
        ("mas", {"importance_batch_size": 0}, "importance_batch_size=0"),
        ("si", {"c": -0.1}, "c=-0.1: expected 0 or more"),
        ("si", {"xi": 0.0}, "xi=0.0: expected more than 0"),
        ("lwf", {"alpha": -1.0}, "alpha=-1.0: expected 0 or more"),
        ("lwf", {"temperature": 0.0}, "temperature=0.0: expected more than 0"),
    ],
)
def test_bounds_of_regularization(name: str, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace(".", r"\.")):
        updater_of(name, memory_of("none"), **changes)
