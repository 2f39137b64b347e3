"""Free text in a table: cut into tokens beside the other columns."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import renate
from renate.data.kept.encoders import KeptEncoder
from renate.data.tables.encoding.encoder import TableEncoder
from renate.errors import DataError
from renate.models.tabular import TabularMLP
from renate.state.versions import State
from tests.command import renate as command
from tests.data.scenes import files

pytest.importorskip("tokenizers", reason="renate-cl[hf] is not installed")

WORDS = ["late", "broken", "fine", "quick", "nice", "parcel", "colour", "again", "never", "box"]


def write(path: str, seed: int, texts: int = 1) -> None:
    rng = random.Random(seed)
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["stars", *[f"note{n}" for n in range(texts)], "label"])
        for row in range(160):
            notes = [" ".join(rng.choices(WORDS, k=rng.randint(4, 9))) for _ in range(texts)]
            notes[0] = "" if row == 7 else notes[0]
            writer.writerow([rng.randint(1, 5), *notes, "bad" if "broken" in notes[0] else "good"])


@pytest.mark.usefixtures("workdir")
def test_texts_are_ids_beside_numbers() -> None:
    write("a.csv", 1)
    source = files("a.csv", standardize=None, vocab_size=300, max_length=12, val_size=0.1)
    data = source.load(seed=0)
    encoder = source.encoder
    assert isinstance(encoder, TableEncoder)
    assert data.train["inputs.numbers"].shape[1] == 1
    assert 259 < encoder.facts["vocab_size"] <= 300
    lengths = data.train["inputs.ids"].lengths
    assert int(lengths.max()) == 12
    assert int(lengths.min()) == 2, "a missing text is an empty one between its two marks"
    assert any("texts are cut at data.max_length=12 tokens" in note for note in data.notes)

    again = TableEncoder(**encoder.settings)
    again.restore(KeptEncoder.of(encoder).state)
    raw = {"stars": [3, 4], "note0": ["never again broken", None]}
    whole = encoder.encode(raw)
    assert again.encode(raw)["ids"].list() == whole["ids"].list()
    alone = encoder.encode({"stars": [4], "note0": [None]})
    assert alone["ids"].list() == [whole["ids"].list()[1]]


@pytest.mark.usefixtures("workdir")
def test_two_texts_are_a_pair_and_three_are_told_apart() -> None:
    write("a.csv", 1, texts=2)
    data = files("a.csv", vocab_size=300).load(seed=0)
    assert sorted(data.train) == ["inputs.ids", "inputs.numbers", "inputs.types", "targets"]
    write("a.csv", 1, texts=3)
    source = files("a.csv", vocab_size=300)
    data = source.load(seed=0)
    types = data.train["inputs.types"]
    assert {number for row in types.list() for number in row} == {0, 1, 2}
    assert types.lengths.equal(data.train["inputs.ids"].lengths)
    assert source.encoder is not None
    assert source.encoder.facts["num_texts"] == 3


def test_the_model_takes_the_mean_of_the_tokens() -> None:
    torch.manual_seed(0)
    model = TabularMLP(1, [4], 9, 3, 8, 5, [], 0.0)
    ids = torch.tensor([[1, 2, 0], [3, 0, 0]])
    inputs = {
        "numbers": torch.randn(2, 1),
        "categories": torch.tensor([[2], [3]]),
        "ids": ids,
        "ids_lengths": torch.tensor([2, 1]),
    }
    assert model.tokens is not None
    means = torch.stack([model.tokens.weight[[1, 2]].mean(0), model.tokens.weight[3]])
    features = [inputs["numbers"], model.embeddings[0].weight[[2, 3]], means]  # type: ignore[index]
    torch.testing.assert_close(model(inputs), model.head(torch.cat(features, 1)))
    with pytest.raises(DataError, match="model=tabular takes 'ids', these inputs are numbers, cat"):
        model({name: inputs[name] for name in ("numbers", "categories")})
    with pytest.raises(ValueError, match=r"data.categories=embed does, or model=mlp"):
        TabularMLP(None, None, None, 2, 8, 8, [], 0.0)  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_weeks_with_text(workdir: Path) -> None:
    on: list[Any] = ["data=files", "data.target=label", "data.vocab_size=300", "model=tabular"]
    on += ["state.url=./state", "optimizer=adam", "optimizer.lr=0.02", "trainer.max_epochs=15"]
    write("1.csv", 1)
    write("2.csv", 2)
    command(*on, "data.train=1.csv", "state.first=true", cwd=workdir)
    command(*on, "data.train=2.csv", cwd=workdir)
    state = State("./state")
    found = json.loads(bytes(state.read(state.manifest(2), "metrics.json")))
    assert found["after"]["test"]["accuracy"] > 0.85
    model = renate.load_model("./state")
    assert model.predict({"stars": [1, 5], "note0": ["the box is broken again", "fine and quick"]})
