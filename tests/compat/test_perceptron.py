"""Renate's perceptron: built as Renate built it, from its own weights, and from those of before."""

import json
import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import renate
from renate.benchmark.models.mlp import MultiLayerPerceptron
from renate.compat.files.parts import NET, ModelFn
from renate.errors import ConfigError
from renate.jobs.saved.from_state import load_into
from tests.command import renate as command
from tests.compat.scripts import HERE, ORIGINAL, bring

ARGUMENTS = {
    "num_inputs": 6,
    "num_hidden_layers": 1,
    "hidden_size": 4,
    "activation": "Tanh",
    "batch_normalization": True,
    "num_outputs": 3,
    "add_icarl_class_means": True,
}


def trained(net: nn.Module) -> nn.Module:
    """The same with statistics that matter."""
    for _ in range(3):
        net(torch.rand(32, 6) * 5)
    return net.eval()


def outputs(net: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = net.eval()(inputs)
    return found


def as_renate_built_it() -> tuple[nn.Module, dict[str, Tensor]]:
    """Its network, written down independently, and its state_dict, `_extra_state` pickled."""
    backbone = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(6, 4), nn.Tanh(), nn.BatchNorm1d(4)),
        *(nn.Linear(4, 4), nn.Tanh(), nn.BatchNorm1d(4)),
    )
    head = nn.Linear(4, 3)
    net = trained(nn.Sequential(backbone, head))
    weights = {f"_backbone.{name}": each for name, each in backbone.state_dict().items()}
    weights |= {f"_tasks_params.default_task.{k}": v for k, v in head.state_dict().items()}
    weights["class_means"] = torch.zeros(4, 3)
    said = {
        "constructor_arguments": ARGUMENTS,
        "tasks_params_ids": {"default_task"},
        "prediction_strategy": None,
    }
    raw = bytearray(pickle.dumps(said))
    return net, weights | {"_extra_state": torch.frombuffer(raw, dtype=torch.uint8)}


def as_before() -> tuple[nn.Module, dict[str, Tensor]]:
    """This package's own network before it had Renate's names and order, and its state_dict."""
    layers = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Tanh()),
        *(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh()),
    )
    net = trained(nn.Sequential(OrderedDict(layers=layers, head=nn.Linear(4, 3))))
    arguments = {k: v for k, v in ARGUMENTS.items() if k != "add_icarl_class_means"}
    arguments["hidden_size"] = [4, 4]
    said = {"constructor_arguments": arguments, "task_ids": ["default_task", "b"]}
    extra = torch.frombuffer(bytearray(json.dumps(said).encode()), dtype=torch.uint8)
    return net, dict(net.state_dict()) | {"_extra_state": extra}


def test_widths() -> None:
    net: Any = MultiLayerPerceptron(64, 10, num_hidden_layers=2, hidden_size=16)
    widths = [layer.out_features for layer in net.get_backbone() if isinstance(layer, nn.Linear)]
    assert widths == [16, 16, 16], "num_hidden_layers + 1, as Renate built them"
    assert net(torch.rand(3, 1, 8, 8)).shape == (3, 10)

    by_layer: Any = MultiLayerPerceptron(4, 2, 1, (8, 6), "Tanh", True)
    kinds = [type(layer).__name__ for layer in by_layer.get_backbone()]
    assert kinds == ["Flatten", *["Linear", "Tanh", "BatchNorm1d"] * 2]
    again = MultiLayerPerceptron.from_state_dict(by_layer.state_dict())
    inputs = torch.rand(5, 4)
    assert torch.equal(outputs(again, inputs), outputs(by_layer, inputs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_hidden_layers": 2, "hidden_size": [8, 8]}, r"num_hidden_layers \+ 1 = 3"),
        ({"activation": "Rel"}, "expected a class of torch.nn"),
        ({"num_hidden_layers": -1}, "num_hidden_layers=-1: expected 0 or more"),
        ({"hidden_size": True}, "hidden_size=True: expected a whole number of 1 or more"),
        ({"batch_normalization": "False"}, "batch_normalization='False': expected True or False"),
    ],
)
def test_what_cant_be_built(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"num_hidden_layers": 1, "hidden_size": 8} | arguments
    with pytest.raises(ValueError, match=message):
        MultiLayerPerceptron(4, 2, **given)


def test_a_prediction_strategy_is_refused() -> None:
    with pytest.raises(ConfigError, match="prediction_strategy='iCaRL': this package has only"):
        MultiLayerPerceptron(4, 2, 1, 8, prediction_strategy="iCaRL")


def test_a_state_that_renate_wrote_of_one(workdir: Path) -> None:
    """Imported, and loaded by `model_fn` under the old path: the same outputs."""
    with tarfile.open(ORIGINAL / "out1.tar.gz") as tar:
        tar.extractall(workdir, filter="data")
    reference, weights = as_renate_built_it()
    torch.save(weights, workdir / "out1" / "model.ckpt")
    command("state", "import", "out1", "new", "--trust-pickle", "--outputs", "10", cwd=workdir)

    inputs = torch.rand(7, 6)
    loaded = torch.load(workdir / "new" / "model.ckpt", weights_only=True)
    again = MultiLayerPerceptron.from_state_dict(loaded)
    assert torch.equal(outputs(again, inputs), outputs(reference, inputs))

    net = MultiLayerPerceptron(6, 3, 1, 4, "Tanh", True)
    model: Any = renate.load_model(str(workdir / "new"), model=net)
    assert torch.equal(outputs(model.model, inputs), outputs(reference, inputs))


def test_a_state_of_before_is_the_network_of_before() -> None:
    reference, weights = as_before()
    inputs = torch.rand(7, 6)
    made = MultiLayerPerceptron.from_state_dict(dict(weights))
    assert torch.equal(outputs(made, inputs), outputs(reference, inputs))

    # And so is what comes of it
    made.add_task_params("c")
    again = MultiLayerPerceptron.from_state_dict(made.state_dict())
    assert torch.equal(outputs(again, inputs), outputs(reference, inputs))
    with torch.no_grad():
        assert torch.equal(again(inputs, "b"), outputs(reference, inputs)), "one head for all"

    fresh = MultiLayerPerceptron(6, 3, 1, 4, "Tanh", True)
    fresh.add_task_params("b")
    fresh.load_state_dict(dict(weights))
    assert torch.equal(outputs(fresh, inputs), outputs(reference, inputs))


def test_a_job_goes_on_from_a_state_of_before(workdir: Path) -> None:
    """As `load_model` of a job does: names are compared before the weights are loaded."""
    path = bring("full", workdir, origin=HERE / "files")
    text = path.read_text().replace(
        "MultiLayerPerceptron(64, 10, 0, hidden, activation)",
        'MultiLayerPerceptron(6, 3, 1, 4, "Tanh", True)',
    )
    path.write_text(text)
    reference, weights = as_before()
    model = ModelFn({"path": str(path)}, "default_task")
    load_into(model, {f"{NET}{name}": tensor for name, tensor in weights.items()}, "version 1")
    inputs = torch.rand(7, 6)
    assert torch.equal(outputs(model, inputs), outputs(reference, inputs))

    net = MultiLayerPerceptron(6, 3, 1, 4, "Tanh", True)
    load_into(net, dict(weights), "version 1")
    assert torch.equal(outputs(net, inputs), outputs(reference, inputs))
