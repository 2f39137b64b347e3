"""Residual networks in torchvision's layout: names, sizes, outputs."""

from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from renate.build import build
from renate.launchers.composing.conf import CONF
from renate.models.grow import grow
from renate.models.mlp import MLP
from renate.models.residual import ResNet
from renate.models.resnet import ResNet18

OPTIONS = [f"resnet{depth}_{pixels}px" for depth in (18, 34, 50) for pixels in (32, 224)]
OF_JOB = ("weights", "freeze", "grow")


def made(option: str, classes: int = 10, channels: int = 3) -> ResNet:
    node = yaml.safe_load((CONF / "model" / f"{option}.yaml").read_text())
    node = {name: value for name, value in node.items() if name not in OF_JOB}
    model: ResNet = build(node | {"in_channels": channels, "num_classes": classes}, "model")
    return model


def names_of(layers: list[int], convolutions: int, widened: bool) -> list[str]:
    """The names of torchvision's state dict, written from its documentation."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv1.weight", *(f"bn1.{name}" for name in norm)]
    for stage, blocks in enumerate(layers, start=1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            for number in range(1, convolutions + 1):
                names += [f"{at}.conv{number}.weight", *(f"{at}.bn{number}.{n}" for n in norm)]
            if block == 0 and (stage > 1 or widened):
                names += [f"{at}.downsample.0.weight"]
                names += [f"{at}.downsample.1.{name}" for name in norm]
    return [*names, "fc.weight", "fc.bias"]


@pytest.mark.parametrize("option", OPTIONS)
def test_tensors_have_torchvisions_names(option: str) -> None:
    layers = [2, 2, 2, 2] if "18" in option else [3, 4, 6, 3]
    deep = "50" in option
    with torch.device("meta"):
        names = list(made(option).state_dict())
    assert sorted(names) == sorted(names_of(layers, 3 if deep else 2, deep))


@pytest.mark.parametrize(
    ("option", "parameters"),
    # As https://pytorch.org/vision/stable/models.html has them, for 1,000 classes
    [
        ("resnet18_224px", 11_689_512),
        ("resnet34_224px", 21_797_672),
        ("resnet50_224px", 25_557_032),
    ],
)
def test_they_are_as_large_as_published(option: str, parameters: int) -> None:
    with torch.device("meta"):
        model = made(option, classes=1000)
        assert sum(each.numel() for each in model.parameters()) == parameters
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 1000)


@pytest.mark.slow
def test_the_one_for_small_images_computes_what_that_of_the_papers_does() -> None:
    """Two implementations, the same weights in the same order."""
    ours = made("resnet18_32px", classes=7)
    other = ResNet18(in_channels=3, num_classes=7, width=64)
    weights = zip(other.state_dict(), ours.state_dict().values(), strict=True)
    other.load_state_dict(dict(weights))
    inputs = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(inputs), other.eval()(inputs))


def test_weights_begin_as_torchvisions_do() -> None:
    torch.manual_seed(0)
    weight = made("resnet18_32px").layer3[1].conv1.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("layers", [[2, 2, 2], [2, 0, 2, 2]])
def test_layers_are_four_numbers(layers: list[int]) -> None:
    with pytest.raises(ValueError, match="expected four numbers of 1 or more"):
        ResNet(3, 10, layers, bottleneck=False, small_images=True)


def small(classes: int) -> ResNet:
    return ResNet(1, classes, [1, 1, 1, 1], bottleneck=False, small_images=True)


MODELS: dict[str, Any] = {
    "mlp": (lambda classes: MLP((4,), classes, [32]), (6, 4)),
    "resnet18": (lambda classes: ResNet18(1, classes, 4), (6, 1, 8, 8)),
    "residual": (small, (6, 1, 8, 8)),
    "bottleneck": (lambda n: ResNet(1, n, [1, 1, 1, 1], True, False), (2, 1, 64, 64)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_grown_head_keeps_every_old_weight_bit_for_bit(name: str) -> None:
    """Logits follow from these; a product of another width may round its last bit otherwise."""
    make, shape = MODELS[name]
    torch.manual_seed(0)
    old: nn.Module = make(3).eval()
    new = grow(old, make(5)).eval()
    grown = new.state_dict()
    for tensor, kept in old.state_dict().items():
        assert torch.equal(grown[tensor][: len(kept)] if kept.ndim else grown[tensor], kept)

    inputs = torch.randn(*shape)
    features: list[Tensor] = []
    for model in (old, new):
        head = [each for each in model.modules() if isinstance(each, nn.Linear)][-1]
        head.register_forward_pre_hook(lambda _, args: features.append(args[0].detach()))
        model(inputs)
    assert torch.equal(*features), "all below the head is bit for bit the same"

    head = [each for each in new.modules() if isinstance(each, nn.Linear)][-1]
    before = nn.functional.linear(features[0], head.weight[:3], head.bias[:3])
    assert torch.equal(before, old(inputs))
    torch.testing.assert_close(new(inputs)[:, :3], old(inputs), rtol=1e-5, atol=1e-6)
