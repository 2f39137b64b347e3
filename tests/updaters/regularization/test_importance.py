"""Means over examples of their gradients' squares: by layers as by autograd, one by one."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.batch import BatchTransform
from renate.models.own.untouched import untouched
from renate.updaters.regularization.importance import mean_over_examples
from renate.updaters.regularization.linear_layers import linear_layers
from tests.updaters.made import Branches, memory_of, updater_of

ROWS = 21


class Twice(nn.Module):
    """Calls one layer twice, another by its weights alone, too."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(5, 5)
        self.reused = nn.Linear(5, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.twice(self.twice(inputs).tanh()).tanh()
        hidden = self.reused(hidden) + F.linear(hidden, self.reused.weight)
        outputs: Tensor = self.head(hidden)
        return outputs


class OfLabels(nn.Module):
    """A layer is given what classes are like, K rows for whatever examples."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("classes", torch.randn(classes, 4))
        self.embed = nn.Linear(4, 5)
        self.first = nn.Linear(5, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.first(inputs).tanh() @ self.embed(self.classes).T
        return outputs


class Tokens(nn.Module):
    """A layer is given several rows of each example."""

    def __init__(self) -> None:
        super().__init__()
        self.of_each = nn.Linear(1, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.of_each(inputs[..., None]).tanh().mean(1))
        return outputs


def in_place() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True), nn.Linear(6, 3))


def normed() -> nn.Module:
    layers = (nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 3))
    return nn.Sequential(*layers)


def convolved() -> nn.Module:
    layers = (nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(6, 3))
    return nn.Sequential(*layers)


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3))
    model[2].weight = model[0].weight
    return model


def without_bias() -> nn.Module:
    model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3))
    model[2].weight.requires_grad_(False)
    return model


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    model[0].register_forward_hook(lambda layer, given, answer: 2 * answer)
    return model


MODELS: dict[str, tuple[Any, list[str]]] = {
    "in place": (in_place, ["0", "2"]),
    "alone": (lambda: nn.Linear(5, 3), [""]),
    "normed": (normed, ["0", "4"]),
    "convolved": (convolved, ["3"]),
    "tied": (tied, ["4"]),
    "frozen in part": (without_bias, ["0", "2"]),
    "normed weights": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)),
        [],
    ),
    "hooked": (hooked, ["2"]),
    "twice": (Twice, ["head"]),
    "several rows": (Tokens, ["head"]),
    "as many classes as rows": (lambda: OfLabels(4), ["first"]),
    "as many classes as rows of a batch": (lambda: OfLabels(ROWS), ["first"]),
    "a way of the batch's": (Branches, []),
}


def columns_of(weights: bool) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    columns = {
        "inputs": torch.randn(ROWS, 5, generator=generator),
        "targets": torch.randint(3, (ROWS,), generator=generator),
    }
    if weights:
        columns["weights"] = torch.rand(ROWS, generator=generator)
    return columns


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("taken", [torch.square, torch.abs])
def test_it_is_what_autograd_gives_one_by_one(name: str, taken: Any) -> None:
    make, by_layers = MODELS[name]
    torch.manual_seed(1)
    model = make()
    columns = columns_of(weights=taken is torch.abs)
    updater = updater_of("ewc", memory_of("none"))
    with untouched(model):
        few = BatchTransform()({key: column[:4] for key, column in columns.items()})
        assert [*linear_layers(model, F.cross_entropy, few, taken)] == by_layers

    found = mean_over_examples(
        updater, model, columns, F.cross_entropy, taken, lambda losses: torch.exp(-losses), 8
    )
    model.eval()
    parameters = [each for each in model.parameters() if each.requires_grad]
    weights = columns.get("weights", torch.ones(ROWS))
    wanted = [torch.zeros_like(each) for each in parameters]
    for row in range(ROWS):
        outputs = model(columns["inputs"][row : row + 1])
        loss = F.cross_entropy(outputs, columns["targets"][row : row + 1])
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        factor = weights[row] / weights.sum() * torch.exp(-loss.detach())
        for total, gradient in zip(wanted, gradients, strict=True):
            total += factor * taken(gradient)

    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert max(float(each.max()) for each in wanted) > 1e-3
    assert all(not module._forward_hooks for key, module in model.named_modules() if key != "0")


def test_half_precision_sums_don_t_stop_growing() -> None:
    torch.manual_seed(0)
    model = nn.Linear(5, 3).to(torch.bfloat16)
    columns = columns_of(weights=False)
    many = {
        "inputs": columns["inputs"].to(torch.bfloat16).repeat(300, 1),
        "targets": columns["targets"].repeat(300),
    }
    found = []
    for data, rows in ((many, 32), ({name: each[:ROWS] for name, each in many.items()}, 32)):
        updater = updater_of("ewc", memory_of("none"))
        updater.setup(model)
        found.append(
            mean_over_examples(
                updater, model, data, F.cross_entropy, torch.square, torch.ones_like, rows
            )
        )
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=1e-4)
