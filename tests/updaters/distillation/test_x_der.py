"""X-DER's terms, written out anew example by example, and what it puts into its memory."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from renate.data.batch import BatchTransform, Columns
from renate.errors import ConfigError
from renate.updaters.distillation.class_groups import implanted
from renate.updaters.distillation.contrast import directions, supervised_contrast
from tests.updaters.small_fit import Small, columns_of, memory_of, model_of

CLASSES = 6


def of_classes(seed: int, *classes: int) -> Columns:
    data = columns_of(seed, rows=20, classes=len(classes))
    data["targets"] = torch.tensor(classes)[data["targets"]]
    return data


def small(**changes: Any) -> Small:
    memory = memory_of("class_balanced", capacity=12)
    return Small.of("x_der", model=model_of(CLASSES), memory=memory, outputs=CLASSES, **changes)


def contrast_by_hand(features: Tensor, targets: list[int], temperature: float) -> float:
    losses = []
    for i, one in enumerate(features):
        others = [a for a in range(len(features)) if a != i]
        same = [p for p in others if targets[p] == targets[i]]
        if same:
            total = sum(torch.exp(one @ features[a] / temperature) for a in others)
            shares = [torch.exp(one @ features[p] / temperature) / total for p in same]
            losses.append(-sum(torch.log(each) for each in shares) / len(same))
    return float(sum(losses) / len(losses))


def test_contrast_is_that_of_the_papers_equation() -> None:
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(9, 4, generator=generator), dim=1)
    targets = [0, 0, 1, 2, 2, 2, 1, 3, 0]
    found = supervised_contrast(features, torch.tensor(targets), 0.5)
    assert float(found) == pytest.approx(contrast_by_hand(features, targets, 0.5), rel=1e-5)
    assert float(supervised_contrast(features[:1], torch.tensor([0]), 0.5)) == 0.0


def test_outputs_without_a_direction_teach_nothing() -> None:
    """As those of a network whose units are all off: the biases took a step of 1e12."""
    outputs = torch.randn(6, 3)
    outputs[4] = 0
    outputs.requires_grad_()
    targets = torch.tensor([0, 0, 1, 1, 1, 2])
    supervised_contrast(directions(outputs), targets, 5.0).backward()
    assert outputs.grad is not None
    assert outputs.grad.abs().max() < 10
    assert not outputs.grad[4].any()
    torch.testing.assert_close(directions(outputs), F.normalize(outputs, dim=1))


def test_implanted_logits_stay_below_the_own_class() -> None:
    kept = torch.tensor([[2.0, 1.0, 0.0, 0.0], [-1.0, -3.0, 9.0, 9.0], [1.0, 4.0, 0.0, 0.0]])
    now = torch.tensor([[9.0, 9.0, 4.0, -2.0], [9.0, 9.0, 2.0, 1.0], [9.0, 9.0, 3.0, -5.0]])
    targets = torch.tensor([0, 0, 1])
    classes = torch.tensor([False, False, True, True])
    found = implanted(kept, now, targets, classes, 0.5)
    assert torch.equal(found[:, :2], kept[:, :2])
    torch.testing.assert_close(found[0, 2:], torch.tensor([4.0, -2.0]) * 0.5 * 2.0 / 4.0)
    torch.testing.assert_close(found[1, 2:], torch.tensor([-1.0, -2.0]), msg="shifted")
    torch.testing.assert_close(found[2, 2:], now[2, 2:], msg="below already")
    own = found.gather(1, targets[:, None])
    assert bool((found[:, 2:] <= own + 1e-6).all())


def expected(made: Small, data: Columns, past: Any) -> float:
    """All terms of an update of the classes 2 and 3, after one of 0 and 1; 4 and 5 are to come."""
    updater: Any = made.updater
    old, new, later = [0, 1], [2, 3], [4, 5]
    outputs = made.model(data["inputs"])
    targets = data["targets"].tolist()
    total = F.cross_entropy(outputs[:, new], data["targets"] - 2)

    overs = []
    for row in outputs:
        shares = row[[*old, *new]].softmax(0)
        overs.append(float(shares[:2].max() + updater.margin - shares[2:].max()))
    over = [each for each in overs if each > 0]
    total += updater.eta * sum(over) / max(len(over), 1)

    now = made.model(past.inputs)
    half = len(now) // 2
    then = past.logits[:half].clone()
    for row, kept, target in zip(now, then, past.targets.tolist(), strict=False):
        largest = row[new].max()
        own = kept[target].clone()
        kept[new] = row[new]
        if largest > own and own > 0:
            kept[new] *= updater.gamma * own / largest
        elif largest > own:
            kept[new] -= largest - own
    total += updater.alpha * F.mse_loss(now[:half], then)
    total += updater.beta * F.cross_entropy(now[half:, old], past.targets[half:])

    everyone = torch.cat([outputs, now])
    targets += past.targets.tolist()
    overs = []
    for row, target in zip(everyone, targets, strict=True):
        own = old if target in old else new
        overs.append(float(row[later].max() + updater.margin - row[own].max()))
    over = [each for each in overs if each > 0]
    total += updater.eta * sum(over) / max(len(over), 1)

    features = F.normalize(everyone[:, later], dim=1)
    alike = contrast_by_hand(torch.cat([features, features]), targets * 2, updater.temperature)
    return float(total) + updater.contrast * alike


def test_the_loss_is_the_sum_of_its_terms() -> None:
    made = small(replay_batch_size=5)
    made.update(of_classes(1, 0, 1), epochs=2)
    updater: Any = made.updater
    data = of_classes(2, 2, 3)
    updater.start(made.model, data)
    twin = copy.deepcopy(updater.memory)
    with torch.no_grad():
        wanted = expected(made, data, twin.sample(10))
        found = updater.loss(made.model, BatchTransform()(data))
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def apart(seed: int, *classes: int) -> Columns:
    """Classes that are easy to tell."""
    data = of_classes(seed, *classes)
    return data | {"inputs": data["inputs"] / 4 + 2 * torch.eye(5)[data["targets"]]}


@pytest.mark.slow
def test_new_classes_stay_below_those_of_past_examples() -> None:
    """Were their logits free till the end of an update, a long one would forget all before it."""
    made = small(replay_batch_size=12, lr=0.1)
    made.update(apart(1, 0, 1), epochs=30)
    made.update(apart(2, 2, 3), epochs=100)
    test = apart(3, 0, 1)
    right = made.answers(test["inputs"]).argmax(1) == test["targets"]
    assert float(right.float().mean()) > 0.8


def test_the_memory_learns_of_new_classes_at_the_end() -> None:
    made = small()
    made.update(of_classes(1, 0, 1), epochs=2)
    before = made.updater.memory.columns()["logits"].clone()
    slots = made.updater.memory.columns()["inputs"].clone()
    made.update(of_classes(2, 2, 3), epochs=2)
    kept = made.updater.memory.columns()
    assert sorted(set(kept["targets"].tolist())) == [0, 1, 2, 3]
    with torch.no_grad():
        now = made.model(kept["inputs"])
    own = kept["logits"].gather(1, kept["targets"][:, None])
    for row, target in enumerate(kept["targets"].tolist()):
        if target in (0, 1):
            place = int((slots == kept["inputs"][row]).all(1).nonzero()[0])
            assert torch.equal(kept["logits"][row, :2], before[place, :2]), "what was learned stays"
            others = [2, 3, 4, 5]
        else:
            torch.testing.assert_close(kept["logits"][row, 2:4], now[row, 2:4])
            others = [0, 1]
        assert bool((kept["logits"][row, others] <= own[row] + 1e-5).all())
    assert made.updater.groups.update.tolist() == [1, 1, 2, 2, 0, 0]  # type: ignore[union-attr]


def test_classes_that_come_again_are_new_and_past() -> None:
    made = small()
    made.update(of_classes(1, 0, 1))
    losses = made.update(of_classes(2, 1, 2))
    assert all(0 <= loss < 100 for loss in losses), "none is masked that an example is of"
    assert made.updater.groups.update.tolist() == [1, 2, 2, 0, 0, 0]  # type: ignore[union-attr]


def test_a_loss_that_is_none_among_some_classes_is_refused() -> None:
    made = small()
    made.updater.criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    with pytest.raises(ConfigError, match="updater=x_der: loss.label_smoothing wants something"):
        made.updater.start(made.model, of_classes(1, 0, 1))
