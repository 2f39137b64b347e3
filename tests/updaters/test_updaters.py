"""Each updater's loss against the formula of its paper, and the suite that every updater passes."""

import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from renate.build import build
from renate.data.batch import Batch, BatchTransform, length
from renate.errors import ConfigError
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory
from renate.problems.classification import Classification
from renate.updaters.base import Updater

UPDATERS = sorted(p.stem for p in (CONF / "updater").glob("*.yaml"))


def memory_of(option: str = "reservoir", **changes: Any) -> Memory:
    node = yaml.safe_load((CONF / "memory" / f"{option}.yaml").read_text()) | changes
    node.pop("backfill", None)  # the job's, as the next
    max_ram = node.pop("max_ram", None)
    memory = Memory(build(node, "memory"), max_ram)
    memory.bind(seed=0, transform=BatchTransform())
    return memory


def updater_of(name: str, memory: Memory, **changes: Any) -> Updater:
    node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text()) | changes
    node.pop("defaults", None)
    updater: Updater = build(node, "updater")
    updater.memory = memory
    updater.criterion = nn.CrossEntropyLoss()
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


@pytest.mark.parametrize("name", UPDATERS)
class TestEveryUpdater:
    def test_loss_is_a_finite_scalar_with_gradients(self, name: str, model: nn.Module) -> None:
        updater = updater_of(name, memory_of("infinite" if name == "joint" else "reservoir"))
        updater.setup(model)
        own = updater.start(model, batch_of(0, 40).raw)
        assert own is None or set(own) >= {"inputs", "targets"}
        for step in range(3):
            loss = updater.loss(model, batch_of(step))
            assert loss.shape == ()
            assert loss.isfinite()
            loss.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        updater.finish(model, batch_of(0, 40).raw)

    def test_predict_gives_one_logit_per_class(self, name: str, model: nn.Module) -> None:
        updater = updater_of(name, memory_of("none"))
        assert updater.predict(model, batch_of(0).inputs).shape == (8, 3)

    def test_state_survives(self, name: str, model: nn.Module) -> None:
        updater = updater_of(name, memory_of("none"))
        other = updater_of(name, memory_of("none"))
        updater.setup(model)
        other.setup(model)
        other.load_state_dict(updater.state_dict())
        saved = updater.state_dict()
        loaded = other.state_dict()
        assert saved.keys() == loaded.keys()
        assert all(torch.equal(saved[name], loaded[name]) for name in saved)

    def test_yaml_names_every_argument(self, name: str) -> None:
        node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text())
        updater = updater_of(name, memory_of("none"))
        parameters = inspect.signature(type(updater)).parameters.values()
        named = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
        assert named == set(node) - {"_target_", "defaults"}


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
    updater.grow(nn.Linear(5, 4), {})
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
    ],
)
def test_bounds(name: str, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace(".", r"\.")):
        updater_of(name, memory_of(), **changes)
