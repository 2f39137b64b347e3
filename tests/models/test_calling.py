"""Modules of any kind: inputs by the names of their arguments, one of several outputs."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.models.own.calling import adapt, names_not_taken

INPUTS = {"image": torch.ones(2, 3), "age": torch.full((2, 3), 2.0), "age_lengths": torch.ones(2)}


class Two(nn.Module):
    def forward(self, age: Tensor, image: Tensor, scale: float = 10.0) -> Tensor:
        return scale * age + image


class Optional(nn.Module):
    def forward(self, image: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        assert image is not None
        return image if mask is None else image * mask


class Everything(nn.Module):
    def forward(self, **inputs: Tensor) -> Tensor:
        return inputs["image"] - inputs["age"]


class Mapped(nn.Module):
    def forward(self, inputs: dict[str, Tensor], task: str | None = None) -> Tensor:
        return inputs["image"] + inputs["age"]


@pytest.mark.parametrize(
    ("model", "value"), [(Two(), 21.0), (Optional(), 1.0), (Everything(), -1.0), (Mapped(), 3.0)]
)
def test_a_mapping_is_handed_over_by_names(model: nn.Module, value: float) -> None:
    assert torch.equal(adapt(model)(INPUTS), torch.full((2, 3), value))


def test_one_argument_gets_the_mapping() -> None:
    class One(nn.Module):
        def forward(self, image: Any) -> Tensor:
            found: Tensor = image["image"]
            return found

    assert torch.equal(adapt(One())(INPUTS), torch.ones(2, 3))


def test_a_tensor_is_handed_over_as_it_is() -> None:
    assert torch.equal(adapt(Optional())(torch.ones(2)), torch.ones(2))
    assert torch.equal(adapt(Two())(torch.ones(2), torch.ones(2)), torch.full((2,), 11.0))


def test_inputs_that_arent_taken_are_named() -> None:
    assert names_not_taken(Optional(), INPUTS) == ["age"], "a length is no input of its own"
    assert names_not_taken(Everything(), INPUTS) == []
    assert names_not_taken(Mapped(), INPUTS) == []
    assert names_not_taken(nn.Linear(2, 2), INPUTS["image"]) == []


def test_a_missing_input_is_named() -> None:
    with pytest.raises(
        ConfigError, match="forward needs 'age', the data's inputs are image, agee, "
    ):
        adapt(Two())({"image": torch.ones(1), "agee": torch.ones(1)})


Pair = namedtuple("Pair", ["hidden", "logits"])


@dataclass
class Bag:
    hidden: Tensor
    logits: Tensor


KINDS: list[Callable[[Tensor, Tensor], Any]] = [
    lambda h, x: {"hidden": h, "logits": x},
    lambda h, x: (h, x),
    lambda h, x: [h, x],
    Pair,
    Bag,
]


class Several(nn.Module):
    def __init__(self, kind: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.kind = kind

    def forward(self, inputs: Tensor) -> Any:
        return self.kind(inputs, self.layer(inputs))


@pytest.mark.parametrize("kind", KINDS[:1] + KINDS[3:])
def test_an_output_by_its_name(kind: Any) -> None:
    model = adapt(Several(kind), "logits")
    inputs = torch.ones(4, 3)
    assert torch.equal(model(inputs), model.layer(inputs))
    assert list(model.state_dict()) == ["layer.weight", "layer.bias"], "tensors keep their names"


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("place", [1, -1])
def test_an_output_by_its_place(kind: Any, place: int) -> None:
    model = adapt(Several(kind), place)
    inputs = torch.ones(4, 3)
    assert torch.equal(model(inputs), model.layer(inputs))


def test_adapting_again_is_adapting_once() -> None:
    model = adapt(adapt(Several(KINDS[0]), "hidden"), "logits")
    assert model(torch.ones(4, 3)).shape == (4, 2)
    assert isinstance(adapt(model)(torch.ones(4, 3)), dict)
    twice = adapt(adapt(Two()))
    assert len(twice._forward_pre_hooks) == 1


@pytest.mark.parametrize(
    ("kind", "output", "message"),
    [
        (KINDS[0], "logit", "a dict of hidden, logits, did you mean 'logits'"),
        (KINDS[1], 2, "model.output=2: forward gives a tuple of 0, 1"),
        (KINDS[1], "logits", "a tuple of 0, 1"),
        (lambda h, x: x, "logits", r"forward gives one tensor, \[4, 2\]: leave it out"),
        (lambda h, x: {"loss": 1.0}, "loss", "name one that is a tensor"),
    ],
)
def test_outputs_that_arent_there(kind: Any, output: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adapt(Several(kind), output)(torch.ones(4, 3))
