"""What a source with an encoder, or with several inputs, is held to."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from renate.data.base import Data, Encoder, Known, Source
from renate.data.batch import BatchTransform
from renate.data.kept.encoders import KeptEncoder
from renate.data.kept.inputs import Inputs
from renate.data.kept.raw import hash_inputs
from renate.data.kept.split import Split
from renate.data.model_inputs import InputMapping, divide, join
from renate.data.ragged import Ragged
from renate.data.torch_dataset import TorchDataset
from renate.data.transforms import Scale
from renate.errors import ConfigError, DataError, StateError

SHARED: dict[str, Any] = {"batch_size": 4, "val_size": 0.2, "limit": None}


@dataclass(kw_only=True)
class Letters(Encoder):
    """Ids of the letters that training texts have."""

    extra: int = 0

    def __post_init__(self) -> None:
        self.letters = ""
        self.fits: list[list[str]] = []

    def fit(self, raw: Any) -> None:
        self.fits.append(list(raw))
        self.letters = "".join(sorted(set("".join(raw))))

    def encode(self, raw: Any) -> Any:
        return {"ids": Ragged.of([[self.letters.find(c) + 1 for c in text] for text in raw])}

    def state(self) -> dict[str, Any]:
        return {"letters": self.letters, "count": torch.tensor([len(self.letters)])}

    def restore(self, state: dict[str, Any]) -> None:
        self.letters = state["letters"]
        if int(state["count"]) != len(self.letters):
            raise ValueError("count isn't that of letters")


@dataclass(kw_only=True)
class Given(Source):
    """What it is given."""

    inputs: Any
    targets: Any
    tests: Any = 0.3

    def read(self) -> Any:
        return (self.inputs, self.targets), self.tests


def texts(count: int = 60, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdef"), rng.integers(1, 7))) + str(n) for n in range(count)]


def given(inputs: Any, targets: Any = None, encoder: Encoder | None = None, **more: Any) -> Given:
    if targets is None:
        targets = [n % 2 for n in range(len(inputs))]
    source = Given(inputs=inputs, targets=targets, **SHARED | more)
    source.encoder = encoder
    return source


def as_kept(data: Data, encoder: Encoder | None) -> Known:
    """What the next version knows, through JSON."""
    assert data.inputs is not None
    assert data.split is not None
    kept = json.loads(json.dumps([data.inputs.to_json(), data.split.to_json()]))
    known = None if encoder is None else KeptEncoder.of(encoder)
    return Known(data.problem, Inputs.from_json(kept[0]), Split.from_json(kept[1]), known)


def test_it_is_fitted_to_the_training_side_alone_and_once() -> None:
    encoder = Letters()
    raw = texts()
    data = given(raw, encoder=encoder).load(seed=0)
    (fitted,) = encoder.fits
    assert 0 < len(fitted) < len(raw)
    assert len(fitted) == len(data.train["targets"])
    assert data.val is not None
    assert len(fitted) + len(data.val["targets"]) + len(data.test["test"]["targets"]) == len(raw)
    assert data.train["inputs.ids"].list() == Letters.encode(encoder, fitted)["ids"].list()

    later = Letters()
    again = given(texts(40, seed=1), encoder=later).load(seed=0, known=as_kept(data, encoder))
    assert later.fits == []
    assert later.letters == encoder.letters
    assert again.inputs is not None
    assert data.inputs is not None
    assert again.inputs.fields == data.inputs.fields


def test_a_text_stays_on_its_side_whatever_the_encoder_makes_of_it() -> None:
    first = given(texts(), encoder=Letters()).load(seed=0)
    more = texts() + ["zzz" + text for text in texts()]
    second = given(more, encoder=Letters()).load(seed=0)
    assert first.split is not None
    sides = first.split.sides(hash_inputs(texts(), "x"))
    assert second.split is not None
    again = second.split.sides(hash_inputs(more, "x"))
    assert (sides == again[: len(sides)]).mean() > 0.95, "but for the exceptions of a first update"


def test_several_inputs_without_an_encoder() -> None:
    rows = 50
    inputs = {
        "image": torch.randint(0, 256, (rows, 1, 4, 4), dtype=torch.uint8),
        "age": torch.rand(rows, 1),
        "steps": Ragged.of(
            [[n / 7] * (n % 3 + 1) for n in range(rows)], dtype=torch.float32, padding=-1
        ),
    }
    source = given(inputs, [n % 2 for n in range(rows)])
    data = source.load(seed=0)
    assert data.input_shape is None
    batch = BatchTransform([Scale()])({k: v[:5] for k, v in data.train.items()})
    assert isinstance(batch.inputs, InputMapping)
    assert set(batch.inputs) == {"image", "age", "steps", "steps_lengths"}
    assert batch.inputs["image"].dtype == torch.float32
    assert batch.inputs["steps_lengths"].dtype == torch.int64

    known = as_kept(data, None)
    other = {**inputs, "age": torch.rand(rows, 2)}
    with pytest.raises(
        DataError,
        match=r"^data.train: of its inputs 'age' float32 \[2\], of those of the state 'age' float32 \[1\]",
    ):
        given(other, [n % 2 for n in range(rows)]).load(seed=0, known=known)
    with pytest.raises(
        DataError, match="^data.train: inputs are one tensor, those of the state several"
    ):
        given(torch.rand(rows, 3)).load(seed=0, known=known)
    padded = {
        **inputs,
        "steps": Ragged(inputs["steps"].values, inputs["steps"].starts, inputs["steps"].lengths, 0),
    }
    with pytest.raises(DataError, match="padded with 0, of those of the state .* padded with -1"):
        given(padded, [n % 2 for n in range(rows)]).load(seed=0, known=known)


def test_batches_of_several_inputs_join_and_divide() -> None:
    one = InputMapping(
        {"ids": torch.tensor([[1, 2]]), "ids_lengths": torch.tensor([2])}, {"ids": 9}
    )
    two = InputMapping(
        {"ids": torch.tensor([[3], [4]]), "ids_lengths": torch.tensor([1, 1])}, {"ids": 9}
    )
    both = join(one, two)
    assert isinstance(both, dict)
    assert both["ids"].tolist() == [[1, 2], [3, 9], [4, 9]]
    assert both["ids_lengths"].tolist() == [2, 1, 1]
    first, second = divide(both, 1)
    assert isinstance(first, InputMapping)
    assert isinstance(second, InputMapping)
    assert (first["ids"].tolist(), second.paddings) == ([[1, 2]], {"ids": 9})
    with pytest.raises(DataError, match="can't be joined: a transform of a mapping keeps"):
        join(dict(one), dict(two))


NAN = torch.full((4, 2), float("nan"))
REFUSED = [
    (range(4), "inputs are range, expected a list, array, tensor or Ragged"),
    (["a", "b", "c", "d"], "data.train: inputs are a list, expected a tensor"),
    (Ragged.of([[1]] * 4), "need a name, {'ids': Ragged…}"),
    ({"my ids": torch.zeros(4, 1)}, "an input is called 'my ids'"),
    ({"ids_lengths": torch.zeros(4, 1)}, "names that end with _lengths are those of lengths"),
    ({"a": torch.zeros(4, 1), "b": torch.zeros(3, 1)}, "unequally many rows"),
    ({"a": torch.zeros(3, 1)}, "3 inputs for 4 targets"),
    (torch.zeros(5, 1), "5 inputs for 4 targets"),
    ({"a": torch.zeros(4, 1, dtype=torch.complex64)}, "inputs are torch.complex64"),
    ({"a": NAN}, r"item 0 \(the first is 0\): its input 'a' holds NaN"),
    (
        {"a": Ragged.of([[1.0], [], [float("inf")], [2.0]], dtype=torch.float32)},
        "item 2 .* its input 'a' holds",
    ),
    (
        {"a": Ragged(torch.zeros(3), torch.tensor([0, 1, 2, 2]), torch.tensor([1, 1, 1, 2]))},
        "ends behind its 3 values",
    ),
    ({"a": Ragged.of([[1], [2], [3], [4]], padding=0.5)}, "padding=0.5 is no torch.int64"),
    ({}, "empty mapping|unequally"),
]


@pytest.mark.parametrize(("inputs", "said"), REFUSED)
def test_what_cannot_be_stored(inputs: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        given(inputs, [0, 1, 0, 1]).load(seed=0)


STATES: list[tuple[Any, str]] = [
    ({"index": {1: "a"}}, "JSON gives it back otherwise"),
    ({"words": {"a", "b"}}, "nothing that JSON can keep"),
    ({"mean": float("nan")}, "nothing that JSON can keep"),
    ({"words": ("a", "b")}, "JSON gives it back otherwise"),
    ({"phase": torch.zeros(1, dtype=torch.complex64)}, "is torch.complex64"),
    (["words"], "expected a dict"),
]


@pytest.mark.parametrize(("state", "said"), STATES)
def test_what_cannot_be_kept(state: Any, said: str) -> None:
    class Odd(Letters):
        def state(self) -> dict[str, Any]:
            return state  # type: ignore[no-any-return]

    with pytest.raises(DataError, match=said):
        KeptEncoder.of(Odd())


def test_what_a_stranger_keeps_is_refused_in_a_line() -> None:
    encoder = Letters()
    known = as_kept(given(texts(), encoder=encoder).load(seed=0), encoder)
    assert known.encoder is not None
    known.encoder.state["count"] = torch.tensor([99])
    with pytest.raises(StateError, match="can't take what it kept .ValueError: count isn't"):
        given(texts(), encoder=Letters()).load(seed=0, known=known)
    with pytest.raises(ConfigError, match=r"has extra=1, that of the state 0"):
        given(texts(), encoder=Letters(extra=1)).load(seed=0, known=known)


def test_hashes_of_raw_inputs_follow_from_content() -> None:
    rows: list[Any] = ["a", "b", "a", ["x", 1], {"k": 1}, 3.5]
    hashes = hash_inputs(rows, "x")
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 5
    both = hash_inputs({"t": ["a", "b"], "n": torch.tensor([1, 1])}, "x")
    swapped = hash_inputs({"n": torch.tensor([1, 1]), "t": ["a", "b"]}, "x")
    assert both.tolist() == swapped.tolist()
    assert both[0] != both[1]
    ragged = hash_inputs(Ragged.of([[1, 2], [1], [1, 2]]), "x")
    assert ragged[0] == ragged[2] != ragged[1]
    with pytest.raises(DataError, match="item 1 is object, expected text"):
        hash_inputs(["a", object()], "x")


class Items(torch.utils.data.Dataset[Any]):
    """Items whose inputs are a mapping, `ids` of lengths that a function says."""

    def __init__(self, length: Any, rows: int = 40) -> None:
        self.length = length
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> Any:
        return {"ids": list(range(row, row + self.length(row))), "age": row / 7}, row % 2


def dataset(train: Any, test: Any = None) -> TorchDataset:
    return TorchDataset(train=train, test=test, test_size=0.25, **SHARED)


def test_items_may_be_mappings() -> None:
    data = dataset(Items(lambda row: row % 3 + 1), Items(lambda row: 2)).load(seed=0)
    assert data.inputs is not None
    assert [field.padding for field in data.inputs.fields] == [0, None]
    assert data.test["test"]["inputs.ids"].list()[:2] == [[0, 1], [1, 2]]

    later = dataset(Items(lambda row: 3), Items(lambda row: 3)).load(
        seed=0, known=as_kept(data, None)
    )
    assert isinstance(later.train["inputs.ids"], Ragged), "of equal lengths by chance"

    fixed = dataset(Items(lambda row: 3)).load(seed=0)
    with pytest.raises(
        DataError, match="of any length, padded with 0, of those of the state 'ids'"
    ):
        dataset(Items(lambda row: row % 3 + 1)).load(seed=0, known=as_kept(fixed, None))
