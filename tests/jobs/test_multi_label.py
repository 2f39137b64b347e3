"""Several labels at once: updates with labels that come later, a sweep, a stream, from the
command line and Python.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import f1_score

import renate
from renate.state.versions import State
from tests.command import renate as command

TRAINED = ["optimizer.lr=0.5", "trainer.max_epochs=15", "model.hidden_sizes=[32]"]
COLUMNS = ["a", "b", "c"]


def flags_of(seed: int, rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Four numbers, and which of them are above a bound."""
    inputs = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    return inputs, (inputs > 0.2).astype(int)


def tags(path: str, seed: int, known: int) -> None:
    """A column of lists of the labels that are known so far."""
    inputs, flags = flags_of(seed)
    names = ["a", "b", "c", "d"]
    lists = [[name for name, yes in zip(names[:known], row, strict=False) if yes] for row in flags]
    table = {f"x{i}": inputs[:, i] for i in range(4)}
    pq.write_table(pa.table({**table, "tags": pa.array(lists, pa.list_(pa.string()))}), path)


def columns(path: str, seed: int) -> None:
    inputs, flags = flags_of(seed)
    table = {f"x{i}": inputs[:, i] for i in range(4)}
    pq.write_table(
        pa.table({**table, **{name: flags[:, i] for i, name in enumerate(COLUMNS)}}), path
    )


@pytest.mark.parametrize("updater", ["er", pytest.param("derpp", marks=pytest.mark.slow)])
def test_a_label_may_come_later(updater: str, workdir: Path) -> None:
    tags("test3.parquet", 9, 3)
    tags("test4.parquet", 9, 4)
    for week, known in ((1, 3), (2, 3), (3, 4)):
        tags(f"{week}.parquet", week, known)
        command(
            *(
                "data=files",
                "data.target=tags",
                f"data.train={week}.parquet",
                f"data.test=test{known}.parquet",
            ),
            *(
                "state.url=./state",
                f"updater={updater}",
                "model.grow=true",
                f"state.first={str(week == 1).lower()}",
            ),
            *TRAINED,
            cwd=workdir,
        )
    state = State("./state")
    model = renate.load_model("./state")
    assert model.labels == ["a", "b", "c", "d"]
    inputs, flags = flags_of(9)
    answers = model.predict(torch.from_numpy(inputs))
    given = np.array([[label in answer for label in model.labels] for answer in answers])
    for average in ("micro", "macro"):
        measured = json.loads(bytes(state.read(state.manifest(3), "metrics.json")))["after"]["test"]
        expected = f1_score(flags, given, average=average)
        assert measured[f"f1_{average}"] == pytest.approx(expected, abs=1e-4)
        assert expected > 0.75


@pytest.mark.slow
def test_columns_of_flags_tune_and_stream(workdir: Path) -> None:
    columns("1.parquet", 1)
    data = ["data=files", "data.target=[a,b,c]", "data.train=1.parquet"]
    said = command(*data, *TRAINED, cwd=workdir).stdout
    assert "test_f1_micro" in said
    assert "test_f1_macro" in said

    tuned = command(
        *data, "tuner=grid", "optimizer.lr=0.5,1e-7", "trainer.max_epochs=8", cwd=workdir
    ).stdout
    assert "optimizer.lr=0.5" in tuned.replace(" ", ""), tuned

    stream = ["job=stream", "scenario=iid", "scenario.chunks=2", "run_dir=streams"]
    said = command(*data, *TRAINED, *stream, cwd=workdir).stdout
    assert "f1_micro in % on each chunk" in said
    assert "average_f1_micro" in said


def test_items_of_python(workdir: Path) -> None:
    inputs, flags = flags_of(3)
    data = [(inputs[row], torch.from_numpy(flags[row])) for row in range(len(inputs))]
    result = renate.run(TRAINED, data=data)
    assert result.metrics["test_f1_micro"] > 0.75
    answers = renate.load_model(result.state_url).predict(torch.from_numpy(inputs[:5]))
    assert all(set(answer) <= {0, 1, 2, 3} for answer in answers)


@pytest.mark.slow
def test_flags_that_are_none(workdir: Path) -> None:
    columns("1.parquet", 1)
    table = pq.read_table("1.parquet")
    pq.write_table(table.set_column(5, "b", pa.array([2] * table.num_rows)), "2.parquet")
    said = command(
        *("data=files", "data.target=[a,b,c]", "data.train=2.parquet", "problem=multi_label"),
        cwd=workdir,
        code=1,
    )
    assert "row 0 (the first is 0), column 'b' is 2, expected 0 or 1" in said.stderr
    said = command(
        "data=files", "data.target=[a,bb,c]", "data.train=1.parquet", cwd=workdir, code=1
    )
    assert "no column 'bb'" in said.stderr
