"""L2P, DualPrompt, CODA-Prompt and S-Prompts against their equations, on tiny random encoders."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from renate.build import build
from renate.data.batch import Batch, BatchTransform
from renate.errors import ConfigError, StateError
from renate.jobs.saved.from_state import load_into
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory
from renate.models.prompting.pooled import Prompts
from renate.models.vision_transformer import VisionTransformer
from renate.problems.classification import Classification
from renate.updaters.prompts.coda_prompt import apart, orthonormal
from renate.updaters.prompts.growing import Growing
from tests.updaters.made import steps_on

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")

SMALL: dict[str, dict[str, Any]] = {
    "l2p": {"pool_size": 4, "selected": 2, "length": 3},
    "l2p_replay": {"pool_size": 4, "selected": 2, "length": 3, "replay_batch_size": 4},
    "dualprompt": {"general_layers": [0], "expert_layers": [1], "expert_length": 3},
    "coda_prompt": {"components": 3, "length": 4, "layers": [0, 1]},
    "s_prompts": {"length": 3, "clusters": 2},
}
NAMES = sorted(SMALL)
OWN = ["coda_prompt", "dualprompt", "s_prompts"]  # each update has prompts of its own


def image(outputs: int = 3) -> VisionTransformer:
    torch.manual_seed(0)
    architecture = {
        "model_type": "vit",
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "patch_size": 4,
        "initializer_range": 0.3,
    }
    return VisionTransformer(None, architecture, [1, 8, 8], outputs, "first")


def updater_of(name: str, model: nn.Module, classes: int = 3, **changes: Any) -> Any:
    node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text())
    node.pop("defaults")
    updater = build(node | SMALL[name] | changes, "updater")
    policy = {"_target_": "renate.memory.reservoir.Reservoir", "capacity": 50}
    updater.memory = Memory(build(policy, "memory"), None)
    updater.memory.bind(seed=0, transform=BatchTransform())
    updater.criterion = nn.CrossEntropyLoss()
    updater.problem = Classification()
    updater.problem.restore(list(range(classes)), {})
    torch.manual_seed(5)
    updater.setup(model)
    return updater


def batch_of(seed: int, rows: int = 12) -> Batch:
    """Images of three classes; each seed has a brightness of its own."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(3, (rows,), generator=generator)
    inputs = torch.randn(rows, 1, 8, 8, generator=generator) * 0.3 + 2.0 * (seed % 5 - 2)
    inputs[:, 0, 0] += targets[:, None]
    return BatchTransform()({"inputs": inputs, "targets": targets})


def trained(updater: Any, model: nn.Module, seed: int, steps: int = 4) -> list[float]:
    torch.manual_seed(seed)
    updater.start(model, batch_of(seed).raw)
    losses = steps_on(updater, model, batch_of(seed), steps)
    updater.finish(model, batch_of(seed).raw)
    return losses


@pytest.mark.parametrize("name", NAMES)
def test_prompts_and_head_are_trained_and_the_encoder_stays(name: str) -> None:
    model = image()
    before = copy.deepcopy(model.state_dict())
    updater = updater_of(name, model)
    drawn = copy.deepcopy(updater.own_state())
    losses = trained(updater, model, seed=1, steps=15)
    assert losses[-1] < losses[0]
    changed = {k for k, tensor in model.state_dict().items() if not torch.equal(tensor, before[k])}
    assert changed == {"head.weight", "head.bias"}
    for key, parameter in updater.named_parameters():
        assert not torch.equal(parameter, drawn[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_does_not_depend_on_its_batch(name: str) -> None:
    model = image()
    updater = updater_of(name, model)
    trained(updater, model, 1)
    trained(updater, model, 2)
    inputs = torch.cat([batch_of(seed, 3).inputs for seed in (1, 2)])
    with torch.no_grad():
        together = updater.predict(model, inputs)
        for row, outputs in enumerate(together):
            alone = updater.predict(model, inputs[row : row + 1])[0]
            torch.testing.assert_close(alone, outputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_gives_a_bit_identical_next_update(name: str) -> None:
    model = image()
    updater = updater_of(name, model)
    trained(updater, model, 1)
    trained(updater, model, 2)

    again = image()
    again.load_state_dict(model.state_dict())
    other = updater_of(name, again)
    load_into(other, {k: v.clone() for k, v in updater.own_state().items()}, "here", "updater")
    other.memory.revert(copy.deepcopy(updater.memory.snapshot()))
    inputs = batch_of(1).inputs
    assert torch.equal(updater.predict(model, inputs), other.predict(again, inputs))
    assert trained(updater, model, 3) == trained(other, again, 3)
    assert torch.equal(updater.predict(model, inputs), other.predict(again, inputs))


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_update_goes_on_as_if_it_hadnt_been(name: str) -> None:
    model = image()
    updater = updater_of(name, model)
    trained(updater, model, 1)
    parent = copy.deepcopy((model.state_dict(), updater.own_state(), updater.memory.snapshot()))

    torch.manual_seed(2)
    updater.start(model, batch_of(2).raw)
    updater.loss(model, batch_of(2)).backward()
    with torch.no_grad():
        for parameter in [*model.parameters(), *updater.parameters()]:
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
    reached = copy.deepcopy((model.state_dict(), updater.state_dict(), updater.memory.snapshot()))

    again = image()
    again.load_state_dict(parent[0])
    other = updater_of(name, again)
    load_into(other, parent[1], "here", "updater")
    other.memory.revert(parent[2])
    torch.manual_seed(2)
    other.start(again, batch_of(2).raw)
    again.load_state_dict(reached[0])
    other.load_state_dict(reached[1])
    other.memory.revert(reached[2])
    assert other.loss(again, batch_of(3)).item() == updater.loss(model, batch_of(3)).item()
    for whole, which in ((model, updater), (again, other)):
        which.finish(whole, batch_of(2).raw)
    inputs = batch_of(1).inputs
    assert torch.equal(other.predict(again, inputs), updater.predict(model, inputs))


@pytest.mark.parametrize("name", NAMES)
def test_growth_keeps_the_prompts(name: str) -> None:
    model = image()
    updater = updater_of(name, model)
    trained(updater, model, 1)
    trained(updater, model, 2)
    inputs = torch.cat([batch_of(seed).inputs for seed in (1, 2)])
    expected = updater.predict(model, inputs)

    larger = image(5)
    tensors = {k: v for k, v in model.state_dict().items() if not k.startswith("head.")}
    larger.load_state_dict(tensors, strict=False)
    with torch.no_grad():
        larger.head.weight[:3] = model.head.weight
        larger.head.bias[:3] = model.head.bias
    grown = updater_of(name, larger, 5)
    grown.grow(larger, updater.own_state())
    outputs = grown.predict(larger, inputs)
    torch.testing.assert_close(outputs[:, :3], expected)
    trained(grown, larger, 3)
    assert grown.predict(larger, inputs).isfinite().all()


@pytest.mark.parametrize("name", OWN)
def test_later_updates_leave_earlier_prompts_alone(name: str) -> None:
    model = image()
    updater = updater_of(name, model)
    sizes = []
    for seed in (1, 2, 3):
        rows = {k: p.all().detach().clone() for k, p in parts(updater).items()}
        trained(updater, model, seed)
        for key, part in parts(updater).items():
            sizes.append(len(part.all()))
            if seed > 1:
                assert torch.equal(part.past, rows[key]), f"{key} of update {seed}"
    step = SMALL[name].get("components", 1)
    assert sorted(set(sizes)) == [step, 2 * step, 3 * step]


def parts(updater: nn.Module) -> dict[str, Growing]:
    return {k: part for k, part in updater.named_modules() if isinstance(part, Growing)}


def test_l2p_picks_the_nearest_keys() -> None:
    """Wang et al., eq. 3 to 5, an example at a time."""
    model = image()
    updater = updater_of("l2p", model, match_weight=0.3)
    batch = batch_of(1, rows=5)
    total = torch.zeros(())
    for row in range(5):
        query = model.features(batch.inputs[row : row + 1])[0].detach()
        near = [torch.dot(query, key) / query.norm() / key.norm() for key in updater.keys]
        best = sorted(range(4), key=lambda m: -near[m].item())[:2]
        tokens = torch.cat([updater.pool[m] for m in best])[None]
        prompted = Prompts(tokens=tokens, answer=True)
        logits = model.head(model.features(batch.inputs[row : row + 1], prompted))
        total = total + F.cross_entropy(logits, batch.targets[row : row + 1])
        total = total + 0.3 * sum(1 - near[m] for m in best)
    torch.testing.assert_close(updater.loss(model, batch), total / 5)


def test_l2p_replays_past_examples_as_new_ones() -> None:
    model = image()
    updater = updater_of("l2p_replay", model)
    first, second = batch_of(1), batch_of(2)
    alone = updater_of("l2p", model).loss(model, first)
    assert torch.equal(updater.loss(model, first), alone)
    twin = Memory(updater.memory.policy.__class__(50), None)
    twin.bind(seed=0, transform=BatchTransform())
    twin.add(first)
    past = twin.sample(4)
    raw = {
        "inputs": torch.cat([second.inputs, past.inputs]),
        "targets": torch.cat([second.targets, past.targets]),
    }
    both = updater_of("l2p", model).loss(model, BatchTransform()(raw))
    torch.testing.assert_close(updater.loss(model, second), both)
    assert len(updater.memory) == 24


def test_dualprompt_learns_its_own_expert_and_answers_by_the_nearest_key() -> None:
    """Wang et al., eq. 6 to 8."""
    model = image()
    updater = updater_of("dualprompt", model, match_weight=0.4)
    trained(updater, model, 1)
    trained(updater, model, 2)
    batch = batch_of(2, rows=5)
    query = model.features(batch.inputs).detach()

    def logits(expert: Tensor, row: int) -> Tensor:
        prefixes = {0: updater.general[0][None], 1: expert[0][None]}
        one = batch.inputs[row : row + 1]
        found: Tensor = model.head(model.features(one, Prompts(prefixes=prefixes)))
        return found

    total = torch.zeros(())
    for row in range(5):
        outputs = logits(updater.experts.now[0], row)
        total = total + F.cross_entropy(outputs, batch.targets[row : row + 1])
        key = updater.keys.now[0]
        total = total + 0.4 * (1 - query[row] @ key / query[row].norm() / key.norm())
    torch.testing.assert_close(updater.loss(model, batch), total / 5)

    answers = updater.predict(model, batch.inputs)
    for row in range(5):
        keys = updater.keys.all()
        nearest = int((keys @ query[row] / keys.norm(dim=1)).argmax())
        expected = logits(updater.experts.all()[nearest], row)[0]
        torch.testing.assert_close(answers[row], expected)


def test_coda_prompt_sums_its_components() -> None:
    """Smith et al., eq. 4 to 8."""
    model = image()
    updater = updater_of("coda_prompt", model, orthogonality=0.2)
    trained(updater, model, 1)
    updater.start(model, batch_of(2).raw)
    batch = batch_of(2, rows=4)
    query = model.features(batch.inputs).detach()
    components = updater.prompt.all()
    total = torch.zeros(())
    for row in range(4):
        prefixes = {}
        for layer in range(2):
            summed = torch.zeros(64)
            for m in range(6):
                attended = query[row] * updater.attention.all()[m, layer]
                key = updater.keys.all()[m, layer]
                weight = attended @ key / attended.norm() / key.norm()
                summed = summed + weight * components[m, layer]
            halves = summed.view(4, 16).split(2)  # of keys, then of values
            prefixes[layer] = torch.stack(halves)[None]
        outputs = model.head(
            model.features(batch.inputs[row : row + 1], Prompts(prefixes=prefixes))
        )
        total = total + F.cross_entropy(outputs, batch.targets[row : row + 1]) / 4

    for rows in (components, updater.keys.all(), updater.attention.all()):
        for layer in range(2):
            products = rows[:, layer] @ rows[:, layer].T
            total = total + 0.2 * ((products - torch.eye(6)) ** 2).mean()
    torch.testing.assert_close(updater.loss(model, batch), total)


def test_components_begin_orthogonal() -> None:
    torch.manual_seed(0)
    first = orthonormal(torch.empty(0, 10), 4)
    second = orthonormal(3 * first, 5)
    torch.testing.assert_close(second @ second.T, torch.eye(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(first @ second.T, torch.zeros(4, 5), atol=1e-6, rtol=0)
    assert apart(torch.cat([first, second])[:, None]) < 1e-10
    crowded = orthonormal(torch.cat([first, second]), 3)
    torch.testing.assert_close(crowded.norm(dim=1), torch.ones(3))


def test_s_prompts_answers_by_the_domain_of_the_nearest_centre() -> None:
    model = image()
    updater = updater_of("s_prompts", model)
    heads = []
    for seed in (1, 2, 3):
        trained(updater, model, seed)
        heads.append(copy.deepcopy(model.head))
        if seed == 1:
            first = updater.predict(model, batch_of(1).inputs).detach()

    later = updater.predict(model, batch_of(1).inputs)
    torch.testing.assert_close(later, first, atol=1e-5, rtol=1e-4)  # no later domain has a say
    assert updater.domains.tolist() == [0, 0, 1, 1, 2, 2]
    inputs = torch.cat([batch_of(seed, rows=4).inputs for seed in (1, 2, 3)])
    answers = updater.predict(model, inputs)
    found = []
    for row, query in enumerate(model.features(inputs).detach()):
        domain = int(((updater.centres - query) ** 2).sum(1).argmin()) // 2
        found.append(domain)
        tokens = updater.prompt.all()[domain][None]
        features = model.features(inputs[row : row + 1], Prompts(tokens=tokens))
        torch.testing.assert_close(answers[row], heads[domain](features)[0], atol=1e-5, rtol=1e-4)
    assert set(found) == {0, 1, 2}


def test_a_domain_of_one_example() -> None:
    model = image()
    updater = updater_of("s_prompts", model)
    updater.start(model, batch_of(1, rows=1).raw)
    assert updater.centres.shape == (1, 16)
    alike = {"inputs": torch.ones(6, 1, 8, 8), "targets": torch.zeros(6, dtype=torch.int64)}
    updater.start(model, alike)
    assert updater.predict(model, alike["inputs"]).isfinite().all()
    updater.memory.ranks = 2
    with pytest.raises(ConfigError, match="and 2 processes would .* trainer.devices=1"):
        updater.start(model, alike)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("l2p", {"selected": 5}, "selected=5: expected at most pool_size=4"),
        ("l2p", {"length": 0}, "length=0: expected 1 or more"),
        ("l2p", {"match_weight": -1.0}, "match_weight=-1.0: expected 0 or more"),
        ("dualprompt", {"general_layers": [1]}, "expected different numbers of 0 or more"),
        ("dualprompt", {"expert_layers": []}, "expected different numbers of 0 or more"),
        ("coda_prompt", {"length": 3}, "length=3: expected an even number"),
        ("coda_prompt", {"layers": [0, 0]}, r"layers=\[0, 0\]: expected different numbers"),
        ("s_prompts", {"clusters": 0}, "clusters=0: expected 1 or more"),
    ],
)
def test_bounds(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        updater_of(name, image(), **changes)


def test_a_models_own_settings_of_its_prompts_come_first() -> None:
    model = image()
    model.prompt_settings = {"pool_size": 6, "length": 2}
    updater = updater_of("l2p", model)
    assert updater.pool.shape == (6, 2, 16)
    model.prompt_settings = {"pool_size": 1}
    with pytest.raises(ConfigError, match="of its prompts selected=2: expected at most pool_size"):
        updater_of("l2p", model)
    model.prompt_settings = {"clusters": 2}
    with pytest.raises(ConfigError, match="its prompts have a clusters, which L2P hasn't"):
        updater_of("l2p", model)


@pytest.mark.parametrize("name", NAMES)
def test_models_that_take_no_prompts_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="Linear takes no prompts: model=vit for images"):
        updater_of(name, nn.Linear(5, 3))


def test_layers_beyond_the_encoder_are_told_before_training() -> None:
    model = image()
    updater = updater_of("dualprompt", model, expert_layers=[7])
    with pytest.raises(ConfigError, match=r"layers \[0, 7\], and the model's encoder has 2"):
        updater.predict(model, batch_of(1).inputs)


@pytest.mark.parametrize("name", OWN)
def test_a_state_of_another_size_is_refused(name: str) -> None:
    """As one from a stranger may be."""
    updater = updater_of(name, image())
    for key in updater.own_state():
        for wrong in (torch.zeros(()), torch.zeros(2, 7), torch.zeros(2, 1, 1, 1, 1, 1, 1)):
            if key == "updates" and not wrong.ndim:
                continue
            tensors = {k: v.clone() for k, v in updater.own_state().items()} | {key: wrong}
            with pytest.raises(StateError, match="tensor '"):
                load_into(updater_of(name, image()), tensors, "here", "updater")
