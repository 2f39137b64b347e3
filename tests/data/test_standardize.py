"""Columns of numbers on scales of their own: `data.standardize=true`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import renate
from renate.data.base import Known
from renate.data.kept.encoders import KeptEncoder, target_of
from renate.data.tables.standardize import Standardize
from renate.errors import DataError, StateError
from renate.state.versions import State
from tests.command import renate as command
from tests.data.scenes import files

TRAINED = ["data=files", "data.target=label", "trainer.max_epochs=3", "state.url=./state"]


def write(path: str, seed: int, *, shift: float = 0.0) -> np.ndarray[Any, Any]:
    """Columns around a million and around a thousandth; one is constant."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, 200)
    columns = {
        "income": (1e6 + 3e5 * (label + rng.normal(0, 0.3, 200)) + shift).astype(np.float32),
        "rate": (1e-3 + 1e-4 * rng.normal(0, 1, 200)).astype(np.float32),
        "constant": np.full(200, 7.1, np.float32),
    }
    pq.write_table(pa.table({**columns, "label": label}), path)
    return np.stack(list(columns.values()), axis=1)


@pytest.mark.usefixtures("workdir")
def test_scales_are_those_of_the_training_side_of_the_first_update() -> None:
    write("1.parquet", 1)
    source = files("1.parquet", test=None, test_size=0.3, standardize=True)
    data = source.load(seed=0)
    train = data.train["inputs"].double()
    assert torch.allclose(train.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(
        train[:, :2].std(0, correction=0), torch.ones(2, dtype=torch.float64), atol=1e-5
    )
    assert not torch.allclose(data.test["test"]["inputs"].mean(0)[:2], torch.zeros(2), atol=1e-3)
    encoder = source.encoder
    assert encoder is not None
    back = train * encoder.state()["std"] + encoder.state()["mean"]
    plain = files("1.parquet", test=None, test_size=0.3).load(seed=0)
    assert torch.allclose(back.float(), plain.train["inputs"], rtol=1e-6), (
        "the same rows, held out alike"
    )


@pytest.mark.slow
def test_updates_evaluations_and_predictions_use_the_kept_scales(workdir: Path) -> None:
    first = write("1.parquet", 1)
    second = write("2.parquet", 2, shift=5e5)
    on = [*TRAINED, "data.standardize=true"]
    command(*on, "data.train=1.parquet", "state.first=true", cwd=workdir)
    command(*on, "data.train=2.parquet", cwd=workdir)
    state = State("./state")
    kept = [state.manifest(version).files["encoder.safetensors"].sha256 for version in (1, 2)]
    assert kept[0] == kept[1]
    after = json.loads(bytes(state.read(state.manifest(1), "metrics.json")))["after"]["test"]
    assert after["accuracy"] > 0.8, "without it the loss of the raw scales is infinite"

    model = renate.load_model("./state")
    rows = torch.from_numpy(np.concatenate([first, second]))
    assert model.encoder is not None
    assert torch.equal(model(rows), model.model(model.encoder.encode(rows)))
    with pytest.raises(
        DataError, match="inputs have 2 columns, the scales that were kept are of 3"
    ):
        model.predict(rows[:, :2])

    refused = command(*TRAINED, "data.train=2.parquet", "data.seen=again", cwd=workdir, code=1)
    assert "went through the encoder renate.data.tables.standardize.Standardize" in refused.stderr
    assert "give data.standardize=true, or start another state" in refused.stderr

    without = [*TRAINED, "state.url=./plain"]
    command(*without, "data.train=1.parquet", "state.first=true", cwd=workdir)
    refused = command(
        *without, "data.train=2.parquet", "data.standardize=true", cwd=workdir, code=1
    )
    assert "give data.standardize=false, or start another state" in refused.stderr


@pytest.mark.parametrize(
    "kept",
    [
        {"mean": torch.zeros(2), "std": torch.ones(2)},
        {"mean": torch.zeros(2).double(), "std": torch.zeros(2).double()},
        {"mean": torch.zeros(2).double(), "std": torch.ones(3).double()},
        {"mean": [0.0], "std": [1.0]},
        {},
    ],
)
@pytest.mark.usefixtures("workdir")
def test_scales_of_a_stranger(kept: dict[str, Any]) -> None:
    write("1.parquet", 1)
    source = files("1.parquet", test=None, test_size=0.3, standardize=True)
    data = source.load(seed=0)
    assert source.encoder is not None
    encoder = KeptEncoder(target_of(source.encoder), {}, kept)
    known = Known(data.problem, data.inputs, data.split, encoder)
    with pytest.raises(StateError, match="can't take what it kept"):
        files("1.parquet", test=None, test_size=0.3, standardize=True).load(seed=0, known=known)


@pytest.mark.usefixtures("workdir")
def test_a_value_that_is_none_is_told_where_it_stands() -> None:
    table = {"a": [1.0, 2.0, float("inf"), 4.0], "label": [0, 1, 0, 1]}
    pq.write_table(pa.table(table), "1.parquet")
    with pytest.raises(DataError, match=r"^1.parquet: row 2 \(the first is 0\), column 'a' is inf"):
        files("1.parquet", standardize=True).load(seed=0)


def test_images_are_refused() -> None:
    with pytest.raises(DataError, match="takes columns of numbers, these inputs are of shape"):
        Standardize().fit(torch.zeros(3, 1, 4, 4))
