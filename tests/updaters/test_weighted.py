"""Experience replay and DER++ with weights, against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from renate.data.batch import Batch
from renate.errors import ConfigError
from tests.updaters.test_updaters import batch_of, memory_of, updater_of


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(5, 3)


def mean_loss(model: nn.Module, batch: Batch, rows: slice) -> torch.Tensor:
    return F.cross_entropy(model(batch.inputs[rows]), batch.targets[rows])


@pytest.mark.parametrize("normalization", [0, 1])
def test_er(model: nn.Module, normalization: int) -> None:
    memory = memory_of(capacity=50)
    updater = updater_of(
        "weighted_er",
        memory,
        alpha=0.25,
        loss_weight=2.0,
        loss_normalization=normalization,
        replay_batch_size=6,
    )
    first = updater.loss(model, batch_of(0))
    new = mean_loss(model, batch_of(0), slice(None))
    assert torch.allclose(first, 2.0 * new), "nothing to weigh it against"

    loss = updater.loss(model, batch_of(1))

    twin = memory_of(capacity=50)  # of the same seed, so it draws the same
    twin.add(batch_of(0))
    past = twin.sample(6)
    old = F.cross_entropy(model(past.inputs), past.targets)
    expected = 2.0 * mean_loss(model, batch_of(1), slice(None)) + 0.25 * old
    if normalization:
        expected = expected / 2.25
    assert torch.allclose(loss, expected)


def test_er_with_both_weights_one_is_the_mean_of_both(model: nn.Module) -> None:
    weighted = updater_of("weighted_er", memory_of(capacity=50), replay_batch_size=8)
    plain = updater_of("er", memory_of(capacity=50), replay_batch_size=8)
    for step in range(3):
        one = weighted.loss(model, batch_of(step))
        other = plain.loss(model, batch_of(step))
        assert torch.allclose(one, other), "as many past examples as new ones, equal weights"


def test_derpp_without_normalization_is_derpp(model: nn.Module) -> None:
    given = {"alpha": 0.3, "beta": 0.7, "replay_batch_size": 4}
    weighted = updater_of("weighted_derpp", memory_of(capacity=50), loss_normalization=0, **given)
    normalized = updater_of("weighted_derpp", memory_of(capacity=50), **given)
    plain = updater_of("derpp", memory_of(capacity=50), **given)
    for step in range(3):
        one = weighted.loss(model, batch_of(step))
        other = plain.loss(model, batch_of(step))
        divided = normalized.loss(model, batch_of(step))
        assert torch.allclose(one, other)
        assert torch.allclose(divided * (2.0 if step else 1.0), other), "1 + 0.3 + 0.7"


@pytest.mark.parametrize(("size", "expected"), [(0.5, 4), (0.25, 2), (0.01, 1), (3, 3), (3.0, 3)])
def test_fractions_are_drawn_besides_the_batch(
    model: nn.Module, size: float, expected: int
) -> None:
    memory = memory_of(capacity=50)
    updater = updater_of("weighted_er", memory, replay_batch_size=size)
    updater.loss(model, batch_of(0))
    before = memory.draws
    updater.loss(model, batch_of(1))
    assert memory.draws - before == expected
    assert memory.count == 16, "of each batch all eight examples are new ones"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay_batch_size": 0}, "replay_batch_size=0: expected a fraction"),
        ({"replay_batch_size": 1.5}, "replay_batch_size=1.5: expected a fraction"),
        ({"loss_normalization": 2}, "loss_normalization=2: expected 0 or 1"),
        ({"loss_weight": -1.0}, "loss_weight=-1.0: expected 0 or more"),
        ({"alpha": -1.0}, "expected 0 or more"),
        ({"alpha": 0.0, "loss_weight": 0.0}, "nothing would be learned"),
    ],
)
def test_what_cant_be_right(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        updater_of("weighted_er", memory_of(), **changes)
