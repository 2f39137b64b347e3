"""LoRA and O-LoRA against their equations; the model of a version has no trace of an adapter."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from renate.build import build
from renate.data.batch import Batch, BatchTransform
from renate.errors import ConfigError
from renate.jobs.saved.from_state import load_into
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory
from renate.problems.classification import Classification
from tests.updaters.made import steps_on

pytestmark = pytest.mark.slow
pytest.importorskip("peft")

NAMES = ["lora", "o_lora"]


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.Tanh()]
    return nn.Sequential(*parts, nn.Linear(8, outputs))


def updater_of(name: str, model: nn.Module, classes: int = 3, **changes: Any) -> Any:
    node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text()) | {"rank": 2} | changes
    updater = build(node, "updater")
    policy = {"_target_": "renate.memory.reservoir.Reservoir", "capacity": 50}
    updater.memory = Memory(build(policy, "memory"), None)
    updater.memory.bind(seed=0, transform=BatchTransform())
    updater.criterion = nn.CrossEntropyLoss()
    updater.problem = Classification()
    updater.problem.restore(list(range(classes)), {})
    updater.setup(model)
    return updater


def batch_of(seed: int, rows: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 1, 4, 4, generator=generator)
    targets = torch.randint(3, (rows,), generator=generator)
    return BatchTransform()({"inputs": inputs, "targets": targets})


def trained(updater: Any, model: nn.Module, seed: int, steps: int = 5) -> list[float]:
    """A few steps of an update, between `start` and `finish`."""
    torch.manual_seed(seed)
    updater.start(model, batch_of(seed).raw)
    return steps_on(updater, model, batch_of(seed), steps)


@pytest.mark.parametrize("name", NAMES)
def test_adapters_join_the_weights_at_the_end(name: str) -> None:
    model = network()
    before = copy.deepcopy(model)
    updater = updater_of(name, model)
    losses = trained(updater, model, seed=1, steps=30)
    assert losses[-1] < losses[0]
    inputs = batch_of(9).inputs
    expected = model(inputs)
    updater.finish(model, batch_of(1).raw)
    torch.testing.assert_close(model(inputs), expected, atol=1e-5, rtol=1e-5)

    assert [type(part) for part in model] == [type(part) for part in before]
    assert model.state_dict().keys() == before.state_dict().keys()
    assert all(parameter.requires_grad for parameter in model.parameters())
    layer, then = model[3], before[3]
    assert torch.equal(layer.bias, then.bias), "only the change of the weight is trained"
    assert torch.linalg.matrix_rank(layer.weight - then.weight, atol=1e-5) == 2
    assert not torch.equal(model[5].bias, before[5].bias), "the head is trained"


def test_a_layers_change_is_a_product_of_its_factors() -> None:
    """Hu et al., eq. 3, by hand."""
    model = network()
    before = copy.deepcopy(model)
    updater = updater_of("lora", model, layers=["3"])
    trained(updater, model, seed=1)
    adapter: Any = model[3]
    down = adapter.lora_A["default"].weight
    up = adapter.lora_B["default"].weight
    batch = batch_of(7)
    hidden = before[:3](batch.inputs)
    hidden = hidden @ (before[3].weight + 16 / 2 * up @ down).T + before[3].bias
    logits = model[5](hidden.tanh())
    expected = F.cross_entropy(logits, batch.targets)
    torch.testing.assert_close(updater.loss(model, batch), expected)
    updater.finish(model, batch.raw)
    torch.testing.assert_close(model[3].weight, before[3].weight + 8 * up @ down)
    assert torch.equal(model[0].weight, before[0].weight)


def test_lora_goes_on_with_its_adapter() -> None:
    """However many updates, what was learned has the rank of one."""
    model = network()
    before = model[3].weight.detach().clone()
    updater: Any = None
    for seed in (1, 2, 3):
        state = updater.own_state() if updater else {}
        updater = updater_of("lora", model)
        if state:
            load_into(updater, state, "here", "updater")
        expected = model(batch_of(9).inputs)
        updater.start(model, batch_of(seed).raw)
        torch.testing.assert_close(model(batch_of(9).inputs), expected, atol=1e-5, rtol=1e-5)
        for name in updater.names:
            updater.adapted[name].lora_B["default"].weight.data += 0.1
        updater.finish(model, batch_of(seed).raw)
    assert torch.linalg.matrix_rank(model[3].weight.detach() - before, atol=1e-4) <= 2


def test_o_lora_keeps_away_from_earlier_subspaces() -> None:
    """Wang et al., eq. 7, with each earlier A at hand."""
    model = network()
    updater = updater_of("o_lora", model, orthogonality=0.7)
    earlier: list[dict[str, Tensor]] = []
    for seed in (1, 2, 3):
        trained(updater, model, seed)
        now = {n: a.lora_A["default"].weight.flatten(1) for n, a in updater.adapted.items()}
        expected = torch.zeros(())
        for then in earlier:
            for name, down in now.items():
                expected = expected + ((then[name] @ down.T) ** 2).sum()
        torch.testing.assert_close(torch.as_tensor(updater.penalty()), 0.7 * expected)

        batch = batch_of(5)
        whole = F.cross_entropy(model(batch.inputs), batch.targets) + 0.7 * expected
        torch.testing.assert_close(updater.loss(model, batch), whole)
        earlier.append({name: down.detach().clone() for name, down in now.items()})
        updater.finish(model, batch.raw)
    assert expected > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_state_gives_a_bit_identical_next_update(name: str) -> None:
    model = network()
    updater = updater_of(name, model)
    trained(updater, model, 1)
    updater.finish(model, batch_of(1).raw)

    again = network()
    again.load_state_dict(model.state_dict())
    other = updater_of(name, again)
    load_into(other, {k: v.clone() for k, v in updater.own_state().items()}, "here", "updater")
    assert trained(updater, model, 2) == trained(other, again, 2)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_update_goes_on_as_if_it_hadnt_been(name: str) -> None:
    model = network()
    updater = updater_of(name, model)
    trained(updater, model, 1)
    updater.finish(model, batch_of(1).raw)
    parent = copy.deepcopy((model.state_dict(), updater.own_state()))
    trained(updater, model, 2, steps=2)
    reached = copy.deepcopy((model.state_dict(), updater.state_dict()))

    again = network()
    again.load_state_dict(parent[0])
    other = updater_of(name, again)
    load_into(other, parent[1], "here", "updater")
    torch.manual_seed(99)  # what start draws is replaced by what was reached
    other.start(again, batch_of(2).raw)
    again.load_state_dict(reached[0])
    other.load_state_dict(reached[1])
    for whole, which in ((model, updater), (again, other)):
        which.loss(whole, batch_of(3)).backward()
        which.finish(whole, batch_of(2).raw)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(v, other.own_state()[k]) for k, v in updater.own_state().items())


@pytest.mark.parametrize("name", NAMES)
def test_growth_keeps_what_is_known_of_the_layers(name: str) -> None:
    model = network()
    updater = updater_of(name, model)
    trained(updater, model, 1)
    updater.finish(model, batch_of(1).raw)
    larger = network(5)
    grown = updater_of(name, larger, 5)
    grown.grow(larger, updater.own_state())
    assert all(torch.equal(v, grown.own_state()[k]) for k, v in updater.own_state().items())
    trained(grown, larger, 2)
    assert larger(batch_of(1).inputs).shape == (12, 5)


@pytest.mark.parametrize("name", NAMES)
def test_replay_is_ers(name: str) -> None:
    model = network()
    updater = updater_of(name, model, replay_batch_size=4)
    assert updater.replays
    assert not updater_of(name, network()).replays
    updater.start(model, batch_of(1).raw)
    first, second = batch_of(1), batch_of(2)
    updater.loss(model, first)
    past = updater.memory.__class__(updater.memory.policy.__class__(50), None)
    past.bind(seed=0, transform=BatchTransform())
    past.add(first)
    drawn = past.sample(4)
    logits = model(torch.cat([second.inputs, drawn.inputs]))
    expected = F.cross_entropy(logits, torch.cat([second.targets, drawn.targets]))
    torch.testing.assert_close(updater.loss(model, second), expected)
    assert len(updater.memory) == 24

    none = updater_of(name, network())
    none.start(network(), first.raw)
    assert len(none.memory) == 0


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        (nn.Linear(16, 3), {}, "Linear has no linear layer and no convolution besides its head"),
        (network(), {"layers": ["4"]}, r"no layer that can be adapted is called '4' \(0, 3\)"),
        (network(), {"layers": "query"}, "updater.layers=query: expected a list of texts or null"),
        (network(), {"rank": 0}, "rank=0: expected 1 or more"),
        (network(), {"dropout": 1.0}, "dropout=1.0: expected 0 to less than 1"),
        (network(), {"replay_batch_size": -1}, "replay_batch_size=-1: expected 0 or more"),
    ],
)
def test_what_cannot_be_adapted(model: nn.Module, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        updater_of("lora", model, **changes)


class Padded(nn.Conv2d):
    """As some libraries' convolutions: of a size of images that only it is told."""

    def __init__(self, *sizes: Any, image_size: int | None = None, **more: Any) -> None:
        assert image_size is not None
        super().__init__(*sizes, **more)


def test_layers_that_peft_makes_no_adapter_of_are_named() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 9, 3))
    model = nn.Sequential(Padded(1, 4, 2, image_size=4), head)
    updater = updater_of("lora", model)
    with pytest.raises(ConfigError, match="peft can't adapt all of 0, … .*: name"):
        updater.start(model, {})


def test_layers_that_are_never_called_are_left_alone() -> None:
    """torch's own attention computes by their weights."""
    block = nn.TransformerEncoderLayer(8, 2, 16)
    model = nn.Sequential(nn.Linear(4, 8), nn.MultiheadAttention(8, 2), block, nn.Linear(8, 3))
    assert updater_of("lora", model).names == ("0",)


@pytest.mark.parametrize("name", ["lora", "o_lora"])
def test_the_transposed_layers_of_gpt2(name: str) -> None:
    """After a fit the weights alone give what the adapters gave, and the next one goes on there."""
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    model = nn.Sequential(Conv1D(6, 16), nn.Tanh(), nn.Linear(6, 3))
    updater = updater_of(name, model)
    inputs = torch.randn(5, 16)
    for _ in range(2):
        before = model(inputs)
        updater.start(model, {})
        if name == "lora":
            torch.testing.assert_close(model(inputs), before)
        with torch.no_grad():
            for adapter in updater.adapted.values():
                adapter.lora_B["default"].weight.normal_()
        expected = model(inputs)
        updater.finish(model, {})
        assert type(model[0]) is Conv1D
        torch.testing.assert_close(model(inputs), expected)
