"""Weights to begin with, and parts that stay as they are."""

import io
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.models.own.frozen import freeze
from renate.models.own.weights import load_weights
from renate.models.residual import ResNet


def network(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, classes))


def saved(content: Any, name: str = "w.pt") -> io.BytesIO:
    if name.endswith(".safetensors"):
        return io.BytesIO(save(content))
    stream = io.BytesIO()
    torch.save(content, stream)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_all_fits(name: str) -> None:
    torch.manual_seed(1)
    old = network()
    new = network()
    line = load_weights(new, name, saved(old.state_dict(), name))
    assert line == f"model.weights={name}: 9 of 9 tensors loaded"
    assert all(torch.equal(old.state_dict()[key], each) for key, each in new.state_dict().items())


def test_a_head_of_another_shape_is_left_out_and_said() -> None:
    old = network(classes=1000).state_dict() | {"extra": torch.ones(1)}
    del old["1.running_var"]
    new = network(classes=3)
    head = new[3].weight.clone()
    line = load_weights(new, "w.pt", saved({"state_dict": old, "epoch": 3}))
    assert line == (
        "model.weights=w.pt: 6 of 9 tensors loaded; of another shape: 3.weight [1000, 5] → [3, 5], "
        "3.bias [1000] → [3]; not in the file: 1.running_var; in the file alone: extra"
    )
    assert torch.equal(new[3].weight, head)
    assert torch.equal(new[0].weight, old["0.weight"])


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_names_of_wrappers(prefix: str) -> None:
    old = network()
    content = {f"{prefix}{name}": each for name, each in old.state_dict().items()}
    new = network()
    assert "9 of 9" in load_weights(new, "w.pt", saved(content))
    assert torch.equal(new[0].weight, old[0].weight)


def test_tied_weights_are_loaded_by_one_of_their_names() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embedding.weight

    new = Tied()
    weight = torch.randn(5, 3)
    line = load_weights(new, "w.pt", saved({"embedding.weight": weight}))
    assert line == "model.weights=w.pt: 2 of 2 tensors loaded"
    assert torch.equal(new.head.weight, weight)


def test_lazy_modules_take_what_they_get() -> None:
    new = nn.Sequential(nn.LazyLinear(3))
    load_weights(new, "w.pt", saved({"0.weight": torch.ones(3, 7), "0.bias": torch.ones(3)}))
    assert torch.equal(new(torch.ones(1, 7)), torch.full((1, 3), 8.0))


class Code:
    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.ones(2)}, r"none of its 1 tensors \(a\) fits this model's 9 \(0.weight, 0.b"),
        ([torch.ones(2)], "it holds a list, expected a state dict"),
        ({"0.weight": torch.full((5, 4), float("nan"))}, "'0.weight' holds NaN, infinities"),
        (
            {"0.weight": torch.full((5, 4), 1e300, dtype=torch.float64)},
            "'0.weight' holds NaN, infinities, or numbers too large for float32",
        ),
        ({"0.weight": Code()}, "neither safetensors nor tensors that torch.save wrote"),
    ],
)
def test_files_that_are_none(content: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_weights(network(), "w.pt", saved(content))
    with pytest.raises(ConfigError, match="neither safetensors nor"):
        load_weights(network(), "w.safetensors", io.BytesIO(b"no"))


def test_weights_that_have_changed_are_refused() -> None:
    """Torch makes other weights of one bit that lies the other way round, without a word."""
    damaged = bytearray(saved({"0.weight": torch.ones(50, 4)}).getvalue())
    damaged[bytes(damaged).index(torch.ones(50, 4).numpy().tobytes()) + 2] ^= 64
    assert not torch.load(io.BytesIO(damaged))["0.weight"].equal(torch.ones(50, 4))
    with pytest.raises(ConfigError, match="w.pt: .* damaged: the bytes of '.*/0' aren't those"):
        load_weights(network(), "w.pt", io.BytesIO(damaged))


def step(model: nn.Module, inputs: Tensor) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model(inputs).square().sum().backward()
    optimizer.step()


def test_frozen_parts_stay_with_their_statistics() -> None:
    model = ResNet(1, 3, [1, 1, 1, 1], bottleneck=False, small_images=True)
    model.train()
    freeze(model, ["conv1", "bn1", "layer1", "layer2.*.bn?", "fc.bias"])
    before = {name: each.clone() for name, each in model.state_dict().items()}
    step(model, torch.randn(4, 1, 8, 8))
    changed = {
        name for name, each in model.state_dict().items() if not torch.equal(before[name], each)
    }
    frozen = ("conv1.", "bn1.", "layer1.", "layer2.0.bn1.", "layer2.0.bn2.", "fc.bias")
    assert changed
    assert not [name for name in changed if name.startswith(frozen)]
    assert {"layer3.0.bn1.running_mean", "layer2.0.conv1.weight", "fc.weight"} <= changed
    assert not model.layer1.training
    assert model.layer3.training


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0", "3", "1"], "nothing is left to train"),
        (["head"], r"no part 'head' \(0, 1, 2, 3, …\)"),
        ("0", r"model.freeze=0: expected a list, as \[0\]"),
    ],
)
def test_what_cant_be_frozen(names: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        freeze(network(), names)
