"""Shapes, sizes and initial weights of the models, and growing a head."""

import pytest
import torch
from torch import nn

from renate.errors import StateError
from renate.models.grow import grow
from renate.models.mlp import MLP
from renate.models.resnet import ResNet18


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_mlp() -> None:
    model = MLP(input_shape=(1, 28, 28), num_classes=10, hidden_sizes=[100, 100])
    assert parameters(model) == 784 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    assert MLP((4,), 3, [])(torch.zeros(2, 4)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"hidden_sizes=\[0\]"):
        MLP((4,), 3, [0])


def test_mlp_weights_are_xavier_normal() -> None:
    torch.manual_seed(0)
    first = MLP((784,), 10, [100]).layers[1]
    assert first.weight.std().item() == pytest.approx((2 / 884) ** 0.5, rel=0.02)
    assert first.weight.abs().max() > 3 * first.weight.std(), "normal, not uniform"


def test_resnet18() -> None:
    model = ResNet18(in_channels=3, num_classes=10, width=64)
    assert parameters(model) == 11_173_962, "the count of the papers' CIFAR variant"
    assert ResNet18(1, 7, 8)(torch.zeros(2, 1, 28, 28)).shape == (2, 7)
    strides = [m.stride for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert strides[0] == (1, 1)
    assert not any(isinstance(m, nn.MaxPool2d) for m in model.modules())


@pytest.mark.parametrize(
    "make", [lambda n: MLP((4,), n, [5]), lambda n: ResNet18(1, n, 4)], ids=["mlp", "resnet18"]
)
def test_growing_keeps_what_was_learned(make: type) -> None:
    torch.manual_seed(0)
    old = make(3).eval()
    new = make(5).eval()
    inputs = torch.randn(6, 4) if isinstance(old, MLP) else torch.randn(6, 1, 8, 8)
    torch.testing.assert_close(grow(old, new)(inputs)[:, :3], old(inputs))


def test_only_rows_may_grow() -> None:
    with pytest.raises(StateError, match=r"'weight' would go from \[2, 3\] to \[2, 4\]"):
        grow(nn.Linear(3, 2), nn.Linear(4, 2))
    with pytest.raises(StateError, match="only the first dimension may grow"):
        grow(nn.Linear(3, 4), nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("before", "after", "which"), [(True, False, "smaller"), (False, True, "larger")]
)
def test_no_tensor_is_dropped_or_made_up(before: bool, after: bool, which: str) -> None:
    with pytest.raises(StateError, match=f"only the {which} model has a tensor 'bias'"):
        grow(nn.Linear(3, 2, bias=before), nn.Linear(3, 4, bias=after))
