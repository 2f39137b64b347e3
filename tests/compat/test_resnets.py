"""Renate's ResNets: sizes and outputs of the networks that they name, made again from weights."""

import pickle
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from renate.benchmark.experimentation import experiment_config_file
from renate.benchmark.models import resnet
from renate.compat.files.parts import NET, ModelFn
from renate.errors import ConfigError
from renate.models.resnet import ResNet18
from tests.command import renate as command
from tests.compat.scripts import ORIGINAL

NAMES = ["ResNet18", "ResNet34", "ResNet50", "ResNet18CIFAR", "ResNet34CIFAR", "ResNet50CIFAR"]


def outputs(net: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = net.eval()(inputs)
    return found


@pytest.mark.parametrize(
    ("name", "parameters"),
    # As https://pytorch.org/vision/stable/models.html has them, for 1,000 classes
    [("ResNet18", 11_689_512), ("ResNet34", 21_797_672), ("ResNet50", 25_557_032)],
)
def test_they_are_as_large_as_published(name: str, parameters: int) -> None:
    net = getattr(resnet, name)(num_outputs=1000)
    assert sum(each.numel() for each in net.get_params()) == parameters
    assert net._backbone.layer1(net._backbone.conv1(torch.rand(1, 3, 64, 64))).shape[2:] == (32, 32)


def test_the_one_of_cifar_is_ours() -> None:
    """With the same weights, by their order, the outputs are the same."""
    ours = ResNet18(in_channels=3, num_classes=7, width=64)
    theirs = resnet.ResNet18CIFAR(num_outputs=7, add_icarl_class_means=False)
    head = {name: each for name, each in ours.state_dict().items() if name.startswith("head")}
    rest = [each for name, each in ours.state_dict().items() if name not in head]
    names = list(theirs._backbone.state_dict())
    theirs._backbone.load_state_dict(dict(zip(names, rest, strict=True)))
    theirs._tasks_params["default_task"].load_state_dict(
        {name.removeprefix("head."): each for name, each in head.items()}
    )

    inputs = torch.rand(2, 3, 32, 32)
    assert torch.allclose(outputs(ours, inputs), outputs(theirs, inputs), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_they_are_made_again_by_model_fn(name: str) -> None:
    node = {
        "path": experiment_config_file(),
        "num_outputs": 4,
        "model_name": name,
        "dataset_name": "MNIST",
        "scenario_name": "IIDScenario",
        "num_tasks": 2,
    }
    made = ModelFn(node, "a")
    again = ModelFn(node, "a")
    inputs = torch.rand(2, 1, 28, 28)
    assert not torch.equal(outputs(made, inputs), outputs(again, inputs))

    again.begin_from({f"{NET}{k}": v for k, v in made.net.state_dict().items()})
    assert torch.equal(outputs(made, inputs), outputs(again, inputs))
    assert outputs(made, inputs).shape == (2, 4)


def test_tasks_have_heads_of_their_own() -> None:
    net = resnet.ResNet18CIFAR(num_outputs=3)
    net.add_task_params("b")
    inputs = torch.rand(2, 3, 8, 8)
    net.eval()
    assert not torch.equal(net(inputs, "b"), net(inputs))
    assert {id(each) for each in net.get_params("b")} & {
        id(each) for each in net._tasks_params["default_task"].parameters()
    } == set()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": 2}, "ResNet18: groups=2: this package has only 1"),
        ({"layers": [1, 1, 1, 1]}, r"layers=\[1, 1, 1, 1\]: this package has only \[2, 2, 2, 2\]"),
        ({"norm_layer": nn.Identity}, "this package has only 'BatchNorm2d'"),
        ({"grey_scale": True}, "ResNet18 has no argument 'grey_scale'"),
        ({"num_outputs": 0}, "num_outputs=0: expected a whole number of 1 or more"),
        ({"cifar_stem": "False"}, "ResNet18: cifar_stem='False': expected True or False"),
    ],
)
def test_other_networks_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resnet.ResNet18(**given)


def pickled(monkeypatch: pytest.MonkeyPatch, block: str) -> Tensor:
    """What Renate wrote beside the weights of a ResNet18CIFAR: classes among the arguments."""
    module = ModuleType("torchvision.models.resnet")
    cls = type(block, (), {"__module__": module.__name__})
    setattr(module, block, cls)
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)

    arguments = {
        "block": cls,
        "layers": [2, 2, 2, 2],
        "zero_init_residual": False,
        "groups": 1,
        "width_per_group": 64,
        "replace_stride_with_dilation": None,
        "norm_layer": nn.BatchNorm2d,
        "cifar_stem": True,
        "gray_scale": True,
        "num_outputs": 10,
        "add_icarl_class_means": True,
    }
    said = {"constructor_arguments": arguments, "tasks_params_ids": {"default_task"}}
    raw = pickle.dumps(said)
    for name in ("torchvision", "torchvision.models", module.__name__):
        monkeypatch.delitem(sys.modules, name)
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8)


@pytest.mark.parametrize("block", ["BasicBlock", "Block"])
def test_an_old_state_of_one(workdir: Path, monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    """Its classes are read by name, so neither torchvision is needed nor code run."""
    with tarfile.open(ORIGINAL / "out1.tar.gz") as tar:
        tar.extractall(workdir, filter="data")
    net = resnet.ResNet18CIFAR(num_outputs=10, gray_scale=True)
    weights = net.state_dict() | {"_extra_state": pickled(monkeypatch, block)}
    torch.save(weights, workdir / "out1" / "model.ckpt")

    known = block == "BasicBlock"
    line = ["state", "import", "out1", "new", "--trust-pickle"]
    done = command(*line, cwd=workdir, code=0 if known else 1)
    if not known:
        assert "holds torchvision.models.resnet.Block: its pickle was run as code" in done.stderr
        return

    assert "model.ckpt: _extra_state: holds" not in done.stderr
    loaded = torch.load(workdir / "new" / "model.ckpt", weights_only=True)
    again = resnet.ResNet18CIFAR.from_state_dict(loaded)
    inputs = torch.rand(2, 1, 8, 8)
    assert torch.equal(outputs(net, inputs), outputs(again, inputs))
