"""Each updater's loss against the formula of its paper."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from renate.build import build
from renate.data.batch import Batch, BatchTransform, length
from renate.errors import ConfigError
from renate.jobs.building.weighting import balance
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory
from renate.problems.classification import Classification
from renate.updaters.base import Updater
from tests.updaters.small_fit import memory_of


def updater_of(name: str, memory: Memory, **changes: Any) -> Updater:
    node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text()) | changes
    node.pop("defaults", None)
    updater: Updater = build(node, "updater")
    updater.memory = memory
    updater.criterion = nn.CrossEntropyLoss()
    updater.problem = Classification()
    updater.problem.restore([0, 1, 2], {})
    return updater


def batch_of(seed: int, rows: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    raw = {
        "inputs": torch.randn(rows, 5, generator=generator),
        "targets": torch.randint(3, (rows,), generator=generator),
    }
    return BatchTransform()(raw)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(5, 3)


def test_fine_tuning_is_the_plain_loss(model: nn.Module) -> None:
    batch = batch_of(1)
    loss = updater_of("fine_tuning", memory_of("none")).loss(model, batch)
    assert torch.equal(loss, F.cross_entropy(model(batch.inputs), batch.targets))


def test_er_is_one_mean_over_new_and_past(model: nn.Module) -> None:
    memory = memory_of()
    updater = updater_of("er", memory, replay_batch_size=4)
    first = batch_of(1)
    second = batch_of(2)
    assert torch.equal(
        updater.loss(model, first), F.cross_entropy(model(first.inputs), first.targets)
    )
    twin = memory_of()
    twin.add(first)
    past = twin.sample(4)
    inputs = torch.cat([second.inputs, past.inputs])
    targets = torch.cat([second.targets, past.targets])
    torch.testing.assert_close(updater.loss(model, second), F.cross_entropy(model(inputs), targets))
    assert len(memory) == 16


def test_derpp_draws_twice_and_weighs_both_terms(model: nn.Module) -> None:
    memory = memory_of()
    updater = updater_of("derpp", memory, alpha=0.7, beta=0.2, replay_batch_size=4)
    first = batch_of(1)
    second = batch_of(2)
    updater.loss(model, first)
    twin = memory_of()
    twin.add(first, logits=model(first.inputs).detach())
    near = twin.sample(4)
    again = twin.sample(4)
    assert not torch.equal(near.inputs, again.inputs)
    expected = F.cross_entropy(model(second.inputs), second.targets)
    expected = expected + 0.7 * F.mse_loss(model(near.inputs), near.logits)
    expected = expected + 0.2 * F.cross_entropy(model(again.inputs), again.targets)
    torch.testing.assert_close(updater.loss(model, second), expected)


def test_derpp_keeps_the_logits_of_the_moment(model: nn.Module) -> None:
    memory = memory_of()
    updater = updater_of("derpp", memory)
    batch = batch_of(1)
    then = model(batch.inputs).detach().clone()
    updater.loss(model, batch)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    order = [
        int((memory.columns()["inputs"] == row).all(1).nonzero()) for row in batch.raw["inputs"]
    ]
    torch.testing.assert_close(memory.columns()["logits"][order], then)


def test_derpp_compares_grown_heads_on_the_stored_width(model: nn.Module) -> None:
    memory = memory_of()
    updater = updater_of("derpp", memory, alpha=1.0, beta=0.0, replay_batch_size=64)
    updater.loss(model, batch_of(1))
    updater.problem = Classification()
    updater.problem.restore([0, 1, 2, 3], {})
    # Not `grow`: the head may have grown in another updater's update
    updater.start(model, batch_of(2).raw)
    larger = nn.Linear(5, 4)
    second = batch_of(2)
    loss = updater.loss(larger, second) - F.cross_entropy(larger(second.inputs), second.targets)
    twin = memory_of()
    twin.add(batch_of(1), logits=model(batch_of(1).inputs).detach())
    past = twin.sample(64)
    torch.testing.assert_close(loss, F.mse_loss(larger(past.inputs)[:, :3], past.logits))


def test_joint_trains_on_everything_from_fresh_weights(model: nn.Module) -> None:
    updater = updater_of("joint", memory_of("infinite"))
    updater.rebuild = lambda: nn.Linear(5, 3)
    before = model.weight.clone()  # type: ignore[union-attr, operator]
    for seed, rows, seen in ((1, 10, 10), (2, 5, 15)):
        own = updater.start(model, batch_of(seed, rows).raw)
        assert own is not None
        assert length(own) == seen
    assert not torch.equal(before, model.weight)  # type: ignore[arg-type]
    kept = updater_of("joint", memory_of("infinite"), reset=False)
    before = model.weight.clone()  # type: ignore[union-attr, operator]
    kept.start(model, batch_of(1, 10).raw)
    assert torch.equal(before, model.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("er", {"replay_batch_size": 0}, "replay_batch_size=0: expected 1 or more"),
        ("derpp", {"alpha": -1.0}, "alpha=-1.0, beta=0.5: expected 0 or more"),
        ("der", {"alpha": -1.0}, "alpha=-1.0: expected 0 or more"),
        ("der", {"replay_batch_size": 0}, "replay_batch_size=0: expected 1 or more"),
        ("offline_er", {"loss_weight_new_data": 1.5}, "loss_weight_new_data=1.5: expected 0 to 1"),
        ("offline_er", {"replay_batch_size": 1.5}, "replay_batch_size=1.5: expected a fraction"),
    ],
)
def test_bounds(name: str, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace(".", r"\.")):
        updater_of(name, memory_of(), **changes)


def test_der_stays_close_to_the_logits_of_then(model: nn.Module) -> None:
    memory = memory_of()
    updater = updater_of("der", memory, alpha=0.7, replay_batch_size=4)
    first = batch_of(1)
    second = batch_of(2)
    then = model(first.inputs).detach()
    alone = updater.loss(model, first)
    assert torch.equal(alone, F.cross_entropy(model(first.inputs), first.targets))

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)

    twin = memory_of()
    twin.add(first, logits=then)
    past = twin.sample(4)
    far = ((model(past.inputs) - past.logits) ** 2).sum() / (4 * 3)
    expected = F.cross_entropy(model(second.inputs), second.targets) + 0.7 * far
    assert far > 0.01
    torch.testing.assert_close(updater.loss(model, second), expected)
    assert len(memory) == 16


@pytest.mark.parametrize("given", [None, 0.25])
def test_offline_er_weighs_new_data_by_their_share(model: nn.Module, given: float | None) -> None:
    memory = memory_of()
    updater = updater_of("offline_er", memory, loss_weight_new_data=given, replay_batch_size=5)
    first = batch_of(1, rows=30)
    updater.start(model, first.raw)
    alone = updater.loss(model, first)
    assert torch.equal(alone, F.cross_entropy(model(first.inputs), first.targets))
    assert len(memory) == 0, "nothing is kept before the update ends"

    updater.finish(model, first.raw)
    other = updater_of("offline_er", memory, loss_weight_new_data=given, replay_batch_size=5)
    other.load_state_dict(updater.state_dict())
    second = batch_of(2, rows=10)
    other.start(model, second.raw)

    twin = memory_of()
    twin.add(first)
    past = twin.sample(5)
    weight = 10 / (30 + 10) if given is None else given
    expected = weight * F.cross_entropy(model(second.inputs), second.targets)
    expected = expected + (1 - weight) * F.cross_entropy(model(past.inputs), past.targets)
    torch.testing.assert_close(other.loss(model, second), expected)
    assert memory.count == 30

    other.finish(model, second.raw)
    assert int(other.seen) == memory.count == 40


def test_offline_er_counts_a_memory_that_another_updater_filled(model: nn.Module) -> None:
    memory = memory_of()
    memory.add(batch_of(1, rows=30))
    updater = updater_of("offline_er", memory, replay_batch_size=5)
    updater.start(model, batch_of(2, rows=10).raw)
    assert updater.weight == 0.25, "at 1 nothing would be replayed"


def test_gdumb_trains_on_its_memory_alone(model: nn.Module) -> None:
    memory = memory_of("greedy", capacity=6)
    updater = updater_of("gdumb", memory)
    updater.rebuild = lambda: nn.Linear(5, 3)
    of_class = [(0, 20), (1, 20), (2, 20)]
    for label, (number, rows) in enumerate(of_class):
        before = model.weight.clone()  # type: ignore[union-attr, operator]
        raw = batch_of(number, rows).raw | {"targets": torch.full((rows,), label)}
        own = updater.start(model, raw)
        assert own is not None
        held = torch.bincount(own["targets"], minlength=3).tolist()
        assert held == [[6, 0, 0], [3, 3, 0], [2, 2, 2]][label]
        # Of each class those that came first
        here = own["inputs"][own["targets"] == label]
        assert {tuple(r) for r in here.tolist()} == {
            tuple(r) for r in raw["inputs"][: held[label]].tolist()
        }
        assert not torch.equal(before, model.weight), "fresh weights"  # type: ignore[arg-type]

    batch = batch_of(3)
    expected = F.cross_entropy(model(batch.inputs), batch.targets)
    assert torch.equal(updater.loss(model, batch), expected)
    assert memory.count == 60, "a batch of the memory is not offered to it again"


def test_gdumb_refuses_what_it_cant_train_on(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match="a NoMemory keeps nothing: memory=greedy"):
        updater_of("gdumb", memory_of("none")).start(model, batch_of(0).raw)
    memory = memory_of("greedy")
    memory.bind(seed=0, transform=BatchTransform(), rank=0, ranks=2)
    with pytest.raises(ConfigError, match="2 processes .* trainer.devices=1"):
        updater_of("gdumb", memory).start(model, batch_of(0).raw)


@pytest.mark.parametrize("name", ["der", "offline_er", "gdumb"])
def test_examples_that_weigh_nothing_have_no_say(name: str, model: nn.Module) -> None:
    updater = updater_of(name, memory_of())
    batch = batch_of(1)
    weights = torch.tensor([1.0] * 4 + [0.0] * 4)
    raw = batch.raw | {"weights": weights}
    loss = updater.loss(model, BatchTransform()(raw))
    expected = F.cross_entropy(model(batch.inputs[:4]), batch.targets[:4])
    torch.testing.assert_close(loss, expected)


def test_balanced_weights_follow_what_is_trained_on(model: nn.Module) -> None:
    updater = updater_of("gdumb", memory_of())
    updater.problem = Classification()
    updater.problem.restore([0, 1, 2], {})
    updater.criterion = nn.CrossEntropyLoss(weight=torch.ones(3))
    balance(updater, "balanced", {"targets": torch.tensor([0, 0, 0, 1])})
    assert updater.criterion.weight.tolist() == pytest.approx([4 / 6, 2.0, 1.0])
    balance(updater, None, {"targets": torch.tensor([0, 1, 2])})
    assert updater.criterion.weight.tolist() == pytest.approx([4 / 6, 2.0, 1.0])
