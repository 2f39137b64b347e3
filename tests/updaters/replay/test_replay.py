"""Replay updaters against the equations of their papers, written out anew."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor, nn

from renate.data.batch import BatchTransform
from renate.errors import ConfigError
from renate.models.own.untouched import untouched
from renate.updaters.replay.gem import project
from renate.updaters.replay.herding import herded
from tests.updaters.small_fit import Small, batch_of, columns_of, memory_of, model_of


def gradient(loss: Tensor, model: nn.Module) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*model.parameters()])])


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_er_ace_lets_new_examples_compete_among_their_own_classes() -> None:
    memory = memory_of(capacity=20)
    small = Small.of("er_ace", memory=memory, replay_batch_size=4)
    first = batch_of(1)
    second = batch_of(2)
    second.targets.copy_(second.targets.clamp(max=1))  # of the classes 0 and 1 alone
    model = small.model
    small.updater.loss(model, first)

    twin = memory_of(capacity=20)
    twin.add(first)
    past = twin.sample(4)
    logits = model(second.inputs)[:, :2]
    log_odds = logits - logits.exp().sum(1, keepdim=True).log()
    new = -log_odds[torch.arange(8), second.targets].mean()
    old = F.cross_entropy(model(past.inputs), past.targets)
    found = small.updater.loss(model, second)
    torch.testing.assert_close(found, new + old)

    rest = torch.autograd.grad(found - old, model[-1].bias)[0]  # type: ignore[index]
    assert rest[2].abs() < 1e-7, "the class that isn't there is left alone"
    assert len(memory) == 16


def test_cls_er_stays_close_to_the_copy_that_knows_better() -> None:
    memory = memory_of(capacity=20)
    small = Small.of("cls_er", memory=memory, consistency=0.7, replay_batch_size=6)
    updater: Any = small.updater
    first = batch_of(1)
    second = batch_of(2)
    model = small.model
    updater.loss(model, first)
    stable = copy.deepcopy(model)
    plastic = copy.deepcopy(model)
    for copied, mine, seed in ((stable, updater.stable, 3), (plastic, updater.plastic, 4)):
        torch.manual_seed(seed)
        with torch.no_grad():
            for one, two in zip(copied.parameters(), mine.model.parameters(), strict=True):
                one += torch.randn_like(one)
                two.copy_(one)

    twin = memory_of(capacity=20)
    twin.add(first)
    past = twin.sample(6)
    rows = []
    chosen = set()
    for inputs, target in zip(past.inputs, past.targets, strict=True):
        two = [stable(inputs).detach(), plastic(inputs).detach()]
        sure = [float(each.softmax(0)[target]) for each in two]
        chosen.add(sure[0] > sure[1])
        rows.append(two[0] if sure[0] > sure[1] else two[1])
    assert chosen == {True, False}, "each is better for some"

    far = ((model(past.inputs) - torch.stack(rows)) ** 2).mean()
    both = F.cross_entropy(
        model(torch.cat([second.inputs, past.inputs])), torch.cat([second.targets, past.targets])
    )
    torch.testing.assert_close(updater.loss(model, second), both + 0.7 * far)
    assert torch.equal(updater.predict(model, first.inputs), updater.stable(first.inputs))


def test_cls_er_averages_at_its_own_rates() -> None:
    changes = {"plastic_frequency": 1.0, "plastic_decay": 0.5, "stable_frequency": 1.0}
    small = Small.of("cls_er", stable_decay=0.9, **changes)
    updater: Any = small.updater
    averages = {"plastic": (weights(small.model), 0.5), "stable": (weights(small.model), 0.9)}
    for step in range(1, 6):
        small.step(batch_of(step))
        for name, (average, decay) in averages.items():
            alpha = min(1 - 1 / (step + 1), decay)
            average = alpha * average + (1 - alpha) * weights(small.model)
            averages[name] = (average, decay)
            torch.testing.assert_close(weights(getattr(updater, name).model), average)


def test_agem_takes_out_what_goes_against_the_past() -> None:
    signs = set()
    for seed in range(12):
        small = Small.of("agem", memory=memory_of(capacity=30), replay_batch_size=5, lr=0.1)
        memory = small.updater.memory
        memory.add_columns(columns_of(100 + seed))
        twin = memory_of(capacity=30)
        twin.add_columns(columns_of(100 + seed))
        past = twin.sample(5)
        batch = batch_of(seed)
        model = copy.deepcopy(small.model)

        g = gradient(F.cross_entropy(model(batch.inputs), batch.targets), model)
        r = gradient(F.cross_entropy(model(past.inputs), past.targets), model)
        signs.add(bool(g @ r < 0))
        if g @ r < 0:
            g = g - (g @ r) / (r @ r) * r
            assert abs(float(g @ r)) < 1e-6
        small.step(batch)
        torch.testing.assert_close(weights(small.model), weights(model) - 0.1 * g)
    assert signs == {True, False}, "both cases came up"


def test_agem_is_offered_each_example_once() -> None:
    small = Small.of("agem", memory=memory_of(capacity=100))
    small.update(columns_of(1, rows=24), epochs=3)
    assert small.updater.memory.count == 24


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_gem_projects_as_a_general_solver_does(margin: float) -> None:
    generator = np.random.default_rng(0)
    for case in range(6):
        references = generator.normal(size=(4, 9))
        g = generator.normal(size=9)
        gram = references @ references.T
        linear = references @ g
        solved = minimize(
            lambda v, gram=gram, linear=linear: 0.5 * v @ gram @ v + linear @ v,
            np.full(4, margin + 0.1),
            jac=lambda v, gram=gram, linear=linear: gram @ v + linear,
            bounds=[(margin, None)] * 4,
            method="L-BFGS-B",
            options={"ftol": 1e-14, "gtol": 1e-10},
        )
        found = project(torch.tensor(g), torch.tensor(references), margin).numpy()
        np.testing.assert_allclose(found, g + references.T @ solved.x, atol=2e-4, err_msg=str(case))
        if margin == 0:
            assert (references @ found > -1e-4).all(), "it goes against none"


def test_gem_holds_to_each_update_by_itself() -> None:
    small = Small.of("gem", memory=memory_of(capacity=40), margin=0.0, lr=0.1)
    for number in (1, 2):
        small.update(columns_of(number, rows=12))
    columns = small.updater.memory.columns()
    assert columns["update"].tolist().count(0) == columns["update"].tolist().count(1) == 12

    model = copy.deepcopy(small.model)
    small.updater.start(small.model, columns_of(9))
    went_against = 0
    for seed in range(20, 32):
        small.model.load_state_dict(model.state_dict())
        batch = batch_of(seed)
        g = gradient(F.cross_entropy(model(batch.inputs), batch.targets), model)
        past = []
        for number in (0, 1):
            own = columns["update"] == number
            loss = F.cross_entropy(model(columns["inputs"][own]), columns["targets"][own])
            past.append(gradient(loss, model))
        small.step(batch)
        step = (weights(model) - weights(small.model)) / 0.1
        if all(g @ r >= 0 for r in past):
            torch.testing.assert_close(step, g, atol=1e-5, rtol=1e-4)
        else:
            went_against += 1
            assert all(float(step @ r) > -1e-4 for r in past)
    assert went_against > 2


def test_gem_tells_updates_apart_after_one_of_another_updater() -> None:
    """Which leaves the count behind, and the memory as it is."""
    memory = memory_of(capacity=40)
    for number in (1, 2):
        Small.of("gem", memory=memory).update(columns_of(number, rows=12))
    assert memory.columns()["update"].unique().tolist() == [0, 1]


@pytest.mark.parametrize("name", ["agem", "gem"])
def test_what_has_no_gradient_gets_none(name: str) -> None:
    """A branch of the model that neither new nor past examples went through stays, whatever the
    weight decay.
    """
    small = Small.of(name, memory=memory_of(capacity=40))
    small.update(columns_of(1, rows=12))
    unused = nn.Linear(3, 3)
    small.model.register_module("unused", unused)
    small.model.forward = lambda inputs: nn.Sequential(*[*small.model][:3])(inputs)  # type: ignore[method-assign]
    small.optimizer = torch.optim.SGD(
        small.model.parameters(), lr=0.1, weight_decay=0.5, momentum=0.9
    )
    before = unused.weight.clone()
    small.update(columns_of(2, rows=24), batch_size=4)
    assert unused.weight.grad is None
    assert torch.equal(unused.weight, before)


def test_gem_needs_all_of_the_memory() -> None:
    small = Small.of("gem")
    small.updater.memory.bind(seed=0, transform=BatchTransform(), rank=0, ranks=2)
    with pytest.raises(ConfigError, match=r"updater=gem .* 2 processes .* trainer.devices=1"):
        small.updater.start(small.model, columns_of(1))


def test_fdr_stays_close_to_the_probabilities_at_the_end() -> None:
    small = Small.of("fdr", memory=memory_of(capacity=30), alpha=0.6, replay_batch_size=5)
    small.update(columns_of(1))
    memory = small.updater.memory
    kept = memory.columns()
    with torch.no_grad():
        torch.testing.assert_close(kept["logits"], small.model(kept["inputs"]))
    assert memory.count == 24

    twin = memory_of(capacity=30)
    twin.add_columns(columns_of(1) | {"logits": small.model(columns_of(1)["inputs"]).detach()})
    with torch.no_grad():
        for parameter in small.model.parameters():
            parameter.mul_(1.3)
    past = twin.sample(5)
    batch = batch_of(2)
    apart = [
        (now.softmax(0) - then.softmax(0)).square().sum().sqrt()
        for now, then in zip(small.model(past.inputs), past.logits, strict=True)
    ]
    expected = F.cross_entropy(small.model(batch.inputs), batch.targets)
    expected = expected + 0.6 * torch.stack(apart).mean()
    torch.testing.assert_close(small.updater.loss(small.model, batch), expected)
    assert memory.count == 24, "nothing is offered before the end"


def test_fdr_compares_the_outputs_that_there_were() -> None:
    small = Small.of("fdr")
    then = torch.tensor([[1.0, 2.0, float("nan")], [0.5, 0.0, 1.0]])
    now = torch.tensor([[2.0, 1.0, 9.0], [0.5, 1.0, 1.0]], requires_grad=True)
    updater: Any = small.updater
    found = updater.distance(now, then)
    first = (now[0, :2].softmax(0) - then[0, :2].softmax(0)).norm()
    second = (now[1].softmax(0) - then[1].softmax(0)).norm()
    torch.testing.assert_close(found, (first + second) / 2)
    found.backward()
    assert now.grad is not None
    assert now.grad.isfinite().all()
    assert now.grad[0, 2] == 0


def test_mir_replays_what_the_step_would_harm_most() -> None:
    small = Small.of(
        "mir", memory=memory_of(capacity=30), candidates=12, replay_batch_size=3, virtual_lr=0.3
    )
    small.updater.memory.add_columns(columns_of(1))
    twin = memory_of(capacity=30)
    twin.add_columns(columns_of(1))
    rows = twin.sample(12).slots.unique()
    held = twin.columns()
    batch = batch_of(2)

    ahead = copy.deepcopy(small.model)
    loss = F.cross_entropy(ahead(batch.inputs), batch.targets)
    gradients = torch.autograd.grad(loss, [*ahead.parameters()])
    with torch.no_grad():
        for parameter, each in zip(ahead.parameters(), gradients, strict=True):
            parameter -= 0.3 * each
    rises = {}
    with torch.no_grad():
        for row in rows.tolist():
            before, after = (
                F.cross_entropy(each(held["inputs"][row]), held["targets"][row])
                for each in (small.model, ahead)
            )
            rises[row] = float(after - before)
    worst = sorted(rises, key=lambda row: -rises[row])[:3]
    expected = F.cross_entropy(
        small.model(torch.cat([batch.inputs, held["inputs"][worst]])),
        torch.cat([batch.targets, held["targets"][worst]]),
    )
    torch.testing.assert_close(small.updater.loss(small.model, batch), expected)


def test_mir_leaves_the_statistics_of_what_it_tries_alone() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    small = Small.of("mir", model=model, memory=memory_of(capacity=30))
    small.step(batch_of(1))
    small.step(batch_of(2))
    norm: Any = model[1]
    assert int(norm.num_batches_tracked) == 2


def test_herding_is_the_greedy_choice_of_the_nearest_mean() -> None:
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    rows: list[int] = []
    for _ in range(10):
        left = [row for row in range(30) if row not in rows]
        apart = [float((features[[*rows, r]].mean(0) - features.mean(0)).norm()) for r in left]
        rows.append(left[int(np.argmin(apart))])
    assert herded(features, 10).tolist() == rows
    assert sorted(herded(features, 30).tolist()) == [*range(30)]


def test_icarl_learns_new_classes_and_keeps_the_answers_for_old_ones() -> None:
    small = Small.of("icarl", memory=memory_of("greedy", capacity=6), outputs=4)
    first = columns_of(1, classes=2)
    small.update(first)
    before = copy.deepcopy(small.model)
    second = columns_of(2, classes=1) | {"targets": torch.full((24,), 2)}
    own = small.updater.start(small.model, second)
    assert own is not None
    assert len(own["targets"]) == 24 + 6, "exemplars are trained on as well"

    with torch.no_grad():
        for parameter in small.model.parameters():
            parameter.mul_(1.2)
    batch = BatchTransform()({name: column[20:28] for name, column in own.items()})
    assert set(batch.targets.tolist()) > {2}
    terms = []
    for inputs, target in zip(batch.inputs, batch.targets, strict=True):
        q = before(inputs).sigmoid()
        g = small.model(inputs).sigmoid()
        wanted = [q[0], q[1], (target == 2).float()]  # of the fourth nothing is known yet
        terms += [-(w * g[k].log() + (1 - w) * (1 - g[k]).log()) for k, w in enumerate(wanted)]
    expected = torch.stack(terms).mean().detach()
    torch.testing.assert_close(small.updater.loss(small.model, batch).detach(), expected)


def test_icarl_answers_the_nearest_mean_of_its_exemplars() -> None:
    small = Small.of("icarl", memory=memory_of("greedy", capacity=6), outputs=4)
    data = columns_of(1, rows=30, classes=2)
    small.update(data, epochs=3)
    model: Any = small.model

    def unit(inputs: Tensor) -> Tensor:
        with untouched(model):
            return F.normalize(model[:-1](inputs), dim=1)

    chosen = []
    for label in (0, 1):
        own = data["inputs"][data["targets"] == label]
        chosen.append(own[herded(unit(own), 3)])
    held = small.updater.memory.columns()
    assert {tuple(r) for r in held["inputs"].tolist()} == {
        tuple(r) for part in chosen for r in part.tolist()
    }

    inputs = columns_of(5, rows=40)["inputs"]
    means = torch.stack([F.normalize(unit(part).mean(0), dim=0) for part in chosen])
    nearest = torch.cdist(unit(inputs), means).argmin(1)
    answers = small.answers(inputs)
    assert torch.equal(answers.argmax(1), nearest)
    assert (answers[:, 2:] < answers[:, :2].amin()).all(), "no exemplar, no answer"

    # A third class takes room from both, of each what herding ranked last
    small.update(columns_of(6) | {"targets": torch.full((24,), 3)})
    counts = torch.bincount(small.updater.memory.columns()["targets"], minlength=4)
    assert counts.tolist() == [2, 2, 0, 2]


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("er_ace", {"replay_batch_size": 0}, "replay_batch_size=0: expected 1 or more"),
        ("agem", {"replay_batch_size": 0}, "replay_batch_size=0: expected 1 or more"),
        ("fdr", {"alpha": -1.0}, "alpha=-1.0: expected 0 or more"),
        ("gem", {"margin": -0.1}, "margin=-0.1: expected 0 or more"),
        ("gem", {"examples": 0}, "examples=0: expected 1 or more"),
        ("mir", {"candidates": 3}, "candidates=3: expected replay_batch_size=32 or more"),
        ("mir", {"virtual_lr": 0.0}, "virtual_lr=0.0: expected more than 0"),
        ("cls_er", {"consistency": -1.0}, "consistency=-1.0: expected 0 or more"),
        ("cls_er", {"stable_frequency": 0.0}, "stable_frequency=0.0: expected more than 0"),
        ("cls_er", {"plastic_decay": 1.0}, "plastic_decay=1.0: expected 0 to less"),
    ],
)
def test_bounds_of_replay(name: str, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace(".", r"\.")):
        Small.of(name, model=model_of(), **changes)


def test_mir_takes_no_dropout_for_interference() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.Dropout(0.5), nn.Linear(16, 3))
    small = Small.of("mir", model=model, memory=memory_of(capacity=30), virtual_lr=1e-9)
    updater: Any = small.updater
    past = batch_of(2, rows=30)
    rise = updater._rise(model.train(), batch_of(1), past)
    assert rise.abs().max() < 1e-4, "no step, no rise"


def test_mir_counts_a_rise_by_the_weight_of_its_example() -> None:
    small = Small.of("mir", memory=memory_of(capacity=30), virtual_lr=1.0)
    updater: Any = small.updater
    weights = torch.rand(24)
    plain = updater._rise(small.model, batch_of(2), BatchTransform()(columns_of(1)))
    weighed = BatchTransform()(columns_of(1) | {"weights": weights})
    torch.testing.assert_close(updater._rise(small.model, batch_of(2), weighed), weights * plain)
    assert plain.abs().max() > 1e-3
