"""Columns come back from a file as they were, or the file is refused."""

import pytest
import torch
from safetensors.torch import load, save

from renate.data.items.stored import drawn, extended, from_tensors, of_examples, to_tensors
from renate.data.ragged import Ragged
from renate.errors import StateError

COLUMNS = {
    "inputs.text": Ragged.of([[1, 2, 3], [], [4]], padding=7),
    "inputs.x": torch.arange(6.0).reshape(3, 2),
    "targets": torch.tensor([0, 1, 2]),
    "weights": torch.ones(3),
}


def test_round_trip() -> None:
    kept = of_examples(COLUMNS)
    assert "weights" not in kept
    found = from_tensors(load(save(to_tensors(kept))), kept, "there")
    assert found["inputs.text"].list() == [[1, 2, 3], [], [4]]
    assert found["inputs.text"].padding == 7
    assert torch.equal(found["inputs.x"], COLUMNS["inputs.x"])
    both = extended(found, drawn(kept, 2, seed=1))
    assert len(both["targets"]) == 5
    assert both["inputs.text"].list()[:3] == [[1, 2, 3], [], [4]]
    picked = both["targets"][3:].tolist()
    assert both["inputs.text"].list()[3:] == [[[1, 2, 3], [], [4]][row] for row in picked]


def test_whose_head_counts_stays_with_the_examples() -> None:
    tasks = torch.tensor([1, 0, 1])
    kept = of_examples(COLUMNS | {"task_id": tasks})
    found = from_tensors(load(save(to_tensors(kept))), kept, "there")
    assert torch.equal(found["task_id"], tasks)
    assert extended(found, kept)["task_id"].tolist() == [1, 0, 1, 1, 0, 1]


def test_what_is_drawn_follows_the_seed() -> None:
    many = {"targets": torch.arange(1000)}
    first = drawn(many, 10, seed=1)["targets"].tolist()
    assert first == drawn(many, 10, seed=1)["targets"].tolist() == sorted(set(first))
    assert first != drawn(many, 10, seed=2)["targets"].tolist()


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("inputs.x", torch.zeros(3, 3), r"column 'inputs.x' isn't like that of the data"),
        ("inputs.x", torch.full((3, 2), float("nan")), "it holds NaN or infinity"),
        ("inputs.x", torch.zeros(2, 2), r"its columns have \[2, 3\] rows"),
        ("inputs.text#offsets", torch.tensor([0, 9, 9, 9]), "offsets that don't cut 4 values"),
        ("targets", None, "column 'targets' isn't like"),
    ],
)
def test_another_file_is_refused(name: str, tensor: torch.Tensor | None, said: str) -> None:
    kept = of_examples(COLUMNS)
    tensors = to_tensors(kept)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    with pytest.raises(StateError, match=said):
        from_tensors(tensors, kept, "there")
