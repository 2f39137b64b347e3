"""POD-ER, Super-ER and repeated distillation against references of their own."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.batch import BatchTransform
from renate.errors import ConfigError
from renate.updaters.distillation.repeated_distillation import _completed
from renate.updaters.distillation.shrink import Shrinking, shrink_and_perturb
from renate.updaters.shared.distillation import better_of, double_distillation
from tests.updaters.made import batch_of, fit, memory_of, network, updater_of

REPLAYING = {
    "pod_er": {"replay_batch_size": 4},
    "super_er": {"replay_batch_size": 4},
}


def hidden(model: Any, inputs: Tensor) -> Tensor:
    """The squares of what the first layer of `network` gives, at length 1."""
    squares = model[0](inputs) ** 2
    return squares / (squares**2).sum(1, keepdim=True).sqrt()


def test_pod_er() -> None:
    model = network()
    updater = updater_of(
        "pod_er", memory_of(), alpha=0.5, loss_weight=2.0, loss_normalization=1, replay_batch_size=4
    )
    updater.setup(model)
    first, second = batch_of(0), batch_of(1)
    updater.start(model, first.raw)
    alone = updater.loss(model, first)
    torch.testing.assert_close(alone, 2 * F.cross_entropy(model(first.inputs), first.targets))

    then = (model[0](first.inputs) ** 2).detach()
    with torch.no_grad():
        model[0].weight.mul_(-1.5)
    twin = memory_of()
    twin.add(first, features=then)
    past = twin.sample(4)
    difference = hidden(model, past.inputs) - F.normalize(past.features)
    expected = 2 * F.cross_entropy(model(second.inputs), second.targets)
    expected = expected + 0.5 * (difference**2).sum(1).sqrt().mean()
    torch.testing.assert_close(updater.loss(model, second), expected / 2.5)
    assert len(updater.memory) == 16


def test_super_er() -> None:
    model = network()
    updater = updater_of(
        "super_er",
        memory_of(),
        der={"alpha": 0.2, "beta": 0.3},
        pod={"alpha": 0.4, "modules": None, "pooling": "spatial", "normalize": True},
        cls={
            "alpha": 0.6,
            "stable_decay": 0.9,
            "stable_frequency": 1.0,
            "plastic_decay": 0.1,
            "plastic_frequency": 1.0,
        },
        loss_normalization=0,
        replay_batch_size=4,
    )
    updater.setup(model)
    first, second = batch_of(0), batch_of(1)
    updater.start(model, first.raw)
    updater.loss(model, first)
    then = copy.deepcopy(model)
    for _ in range(3):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        updater.after_step(model)

    twin = memory_of()
    twin.add(
        first,
        logits=then(first.inputs).detach(),
        features=(then[0](first.inputs) ** 2).detach(),
    )
    past = twin.sample(4)
    now = model(past.inputs)
    stable, plastic = updater.stable.model(past.inputs), updater.plastic.model(past.inputs)
    close = [
        one if one.softmax(0)[target] >= other.softmax(0)[target] else other
        for one, other, target in zip(stable, plastic, past.targets, strict=True)
    ]
    difference = hidden(model, past.inputs) - F.normalize(past.features)
    expected = F.cross_entropy(model(second.inputs), second.targets)
    expected = expected + 0.2 * ((now - past.logits) ** 2).mean()
    expected = expected + 0.3 * F.cross_entropy(now, past.targets)
    expected = expected + 0.4 * (difference**2).sum(1).sqrt().mean()
    expected = expected + 0.6 * ((now - torch.stack(close)) ** 2).mean()
    torch.testing.assert_close(updater.loss(model, second), expected)
    assert not torch.equal(stable, plastic)


def test_weights_are_shrunk_where_something_was_learned_before() -> None:
    model = network()
    updater = updater_of("super_er", memory_of(), shrink={"factor": 0.5, "sigma": 0.0})
    updater.setup(model)
    fresh = model[0].weight.clone()
    updater.start(model, batch_of(0).raw)
    assert torch.equal(model[0].weight, fresh)
    updater.loss(model, batch_of(0))
    updater.start(model, batch_of(1).raw)
    assert torch.equal(model[0].weight, fresh / 2)

    frozen = model[2].bias.requires_grad_(False).clone()
    torch.manual_seed(3)
    noisy = torch.cat([noise_of(model) for _ in range(200)])
    assert abs(float(noisy.std()) - 0.1) < 0.01
    assert torch.equal(model[2].bias, frozen)


def noise_of(model: Any) -> Tensor:
    before = model[0].weight.detach().clone()
    shrink_and_perturb(model, Shrinking(factor=1.0, sigma=0.1))
    return (model[0].weight.detach() - before).flatten()


@pytest.mark.parametrize("name", REPLAYING)
def test_a_saved_replay_takes_the_same_next_step(name: str) -> None:
    model = network()
    updater = updater_of(name, memory_of(), **REPLAYING[name])
    updater.setup(model)
    fit(updater, model, [batch_of(0), batch_of(1)])

    twin = copy.deepcopy(model)
    other = updater_of(name, memory_of(), **REPLAYING[name])
    other.setup(network(seed=5))
    other.load_state_dict(copy.deepcopy(updater.state_dict()))
    other.memory.revert(copy.deepcopy(updater.memory.snapshot()))
    for each, network_ in ((updater, model), (other, twin)):
        torch.manual_seed(7)
        fit(each, network_, [batch_of(2), batch_of(3)])

    for now, wanted in zip(twin.parameters(), model.parameters(), strict=True):
        assert torch.equal(now, wanted)
    saved = updater.state_dict()
    assert all(torch.equal(saved[key], tensor) for key, tensor in other.state_dict().items())


def test_backfilled_features_are_those_that_the_model_gives() -> None:
    model = network()
    for name, fields in (("pod_er", {"features"}), ("super_er", {"features", "logits"})):
        updater = updater_of(name, memory_of())
        updater.setup(model)
        updater.start(model, batch_of(0).raw)
        found = updater.backfill(model, batch_of(0))
        assert {*found} == fields == {*updater.fields}
        updater.loss(model, batch_of(0))
        kept = updater.memory.columns()
        for field in fields:
            torch.testing.assert_close(
                kept[field].sort(0).values, found[field].detach().sort(0).values
            )


class Noted(BatchTransform):
    """Keeps what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[Tensor] = []

    def __call__(self, raw: Any) -> Any:
        batch = super().__call__(raw)
        self.passed.append(batch.targets)
        return batch


def distilling(**changes: Any) -> Any:
    given = {"expert_epochs": 30, "expert_lr": 0.05, "expert_batch_size": 8}
    updater = updater_of("repeated_distillation", memory_of(capacity=20), **(given | changes))
    updater.rebuild = lambda: network(seed=3)
    return updater


def test_repeated_distillation_keeps_what_its_teachers_said() -> None:
    model = network()
    updater = distilling()
    updater.setup(model)
    first = batch_of(0, rows=16)
    memory = updater.start(model, first.raw)
    assert len(memory["targets"]) == 16
    assert torch.equal(model[0].weight, network(seed=3)[0].weight), "a fresh model"
    said = memory["logits"].argmax(1)
    assert (said == memory["targets"]).float().mean() > 0.8, "the expert has learned the new data"

    batch = BatchTransform()({name: column[:6] for name, column in memory.items()})
    target = batch.logits - batch.logits.mean(1, keepdim=True)
    wanted = (0.5 * (model(batch.inputs) - target) ** 2).mean()
    torch.testing.assert_close(updater.loss(model, batch), wanted)

    with torch.no_grad():
        model[0].weight.mul_(2)
    updater.finish(model, first.raw)
    after = updater.memory.columns()
    torch.testing.assert_close(after["logits"], model(after["inputs"]).detach())

    kept = {
        tuple(row.tolist()): logits
        for row, logits in zip(after["inputs"], after["logits"], strict=True)
    }
    second = updater.start(model, batch_of(1, rows=16).raw)
    assert len(second["targets"]) == 20
    old = [(row, kept.get(tuple(row.tolist()))) for row in second["inputs"]]
    assert 0 < sum(logits is not None for _, logits in old) < 20
    for (_, before), logits in zip(old, second["logits"], strict=True):
        assert before is None or torch.equal(before, logits), "past examples keep the last model's"


def test_outputs_that_came_later_get_the_experts_centred_by_themselves() -> None:
    nan = float("nan")
    known = torch.tensor([[3.0, 1.0, nan, nan], [1.0, 2.0, 3.0, 4.0]])
    theirs = torch.tensor([[9.0, 9.0, 5.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    found = _completed(known, theirs)
    assert found.tolist() == [[1.0, -1.0, 2.0, -2.0], [1.0, 2.0, 3.0, 4.0]]


def test_double_distillation_and_the_better_model() -> None:
    now = torch.tensor([[1.0, 0.0]])
    then = torch.tensor([[6.0, 2.0]])
    assert float(double_distillation(now, then)) == 0.5 * ((1 - 2) ** 2 + (0 + 2) ** 2) / 2
    first = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    found = better_of(nn.CrossEntropyLoss(), first, second, torch.tensor([0, 1]))
    assert found.tolist() == [[2.0, 0.0], [0.0, 3.0]]


def test_repeated_distillation_refuses_what_it_cant_train_on() -> None:
    model = network()
    updater = distilling()
    updater.memory = memory_of("none")
    with pytest.raises(ConfigError, match="a NoMemory keeps nothing: memory=class_balanced"):
        updater.start(model, batch_of(0).raw)
    updater.memory = memory_of()
    updater.memory.bind(seed=0, transform=BatchTransform(), rank=0, ranks=2)
    with pytest.raises(ConfigError, match=r"2 processes .* trainer\.devices=1"):
        updater.start(model, batch_of(0).raw)


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("pod_er", {"pooling": "spacial"}, "pooling='spacial': expected pixel.*did you mean"),
        ("pod_er", {"alpha": -1.0}, r"alpha=-1.0: expected 0 or more"),
        ("super_er", {"shrink": {"factor": 1.5, "sigma": 0.0}}, "factor=1.5: expected 0 to 1"),
        ("super_er", {"shrink": {"factor": 1.0, "sigma": -1.0}}, "sigma=-1.0: expected 0 or more"),
        ("super_er", {"der": {"alpha": 1.0, "bet": 1.0}}, "bet"),
        ("super_er", {"replay_batch_size": 1.5}, "replay_batch_size=1.5: expected a fraction"),
        ("repeated_distillation", {"expert_epochs": 0}, "expert_epochs=0: expected 1 or more"),
        ("repeated_distillation", {"expert_lr": 0.0}, "expert_lr=0.0: expected more than 0"),
    ],
)
def test_bounds_of_distillation(name: str, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        updater_of(name, memory_of(), **changes)


def test_growth_of_super_er_keeps_copies_and_features() -> None:
    model = network()
    updater = updater_of("super_er", memory_of())
    updater.setup(model)
    fit(updater, model, [batch_of(0), batch_of(1)])
    before = {key: tensor.clone() for key, tensor in updater.own_state().items()}

    larger: nn.Module = network(outputs=5, seed=1)
    other = updater_of("super_er", updater.memory, labels=5)
    other.setup(larger)
    other.grow(larger, before)
    assert torch.equal(other.stable.model[2].weight[:3], before["stable.model.2.weight"])
    assert int(other.stable.steps) == 2
    other.start(larger, batch_of(2).raw)
    loss = other.loss(larger, batch_of(2))
    assert loss.isfinite()
