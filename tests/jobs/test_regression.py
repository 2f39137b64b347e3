"""Numbers are predicted as classes are: updates, sweeps, streams, from the command line and from
Python.
"""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

import renate
from renate.errors import ConfigError
from renate.state.versions import State
from tests.command import renate as command

TRAINED = ["optimizer.lr=0.05", "trainer.max_epochs=8", "model.hidden_sizes=[16]"]


def houses(path: Path, seed: int, rows: int = 600) -> Path:
    """Prices in the hundred thousands, near enough a linear function of two columns."""
    generator = np.random.default_rng(seed)
    rooms = generator.integers(1, 8, rows)
    area = 0.3 * rooms + generator.normal(0, 0.1, rooms.shape)  # in 100 square metres
    price = 50_000 + 150_000.5 * area + 20_000 * rooms + generator.normal(0, 5000, rooms.shape)
    pq.write_table(pa.table({"rooms": rooms / 4, "area": area, "price": price}), path)
    return path


@pytest.mark.slow
def test_three_updates_by_name_of_the_column_alone(workdir: Path) -> None:
    houses(workdir / "test.parquet", 9)
    for week, updater in ((1, "er"), (2, "derpp"), (3, "fine_tuning")):
        houses(workdir / f"{week}.parquet", week)
        first = ["state.first=true"] if week == 1 else []
        said = command(
            *(
                "data=files",
                "data.target=price",
                f"data.train={week}.parquet",
                "data.test=test.parquet",
            ),
            *("state.url=./state", f"updater={updater}", "memory.backfill=true", *first, *TRAINED),
            cwd=workdir,
        ).stdout
        assert set(re.findall(r"^test_(\w+)", said, re.M)) == {"rmse", "mae", "r2", "loss"}, said

    table = pq.read_table("test.parquet")
    inputs = np.stack([table["rooms"].to_numpy(), table["area"].to_numpy()], 1)
    prices = table["price"].to_numpy()
    model = renate.load_model("./state")
    guesses = model.predict(torch.from_numpy(inputs).float())
    error = float(np.sqrt(np.mean((np.array(guesses) - prices) ** 2)))
    kept = State("./state")
    measured = json.loads(bytes(kept.read(kept.manifest(3), "metrics.json")))["after"]["test"]
    assert error == pytest.approx(measured["rmse"], rel=1e-3), (
        "a loaded model answers in the units of the metric"
    )
    assert error < 0.4 * float(prices.std())
    assert model.labels == ["price"]
    assert "test rmse" in command("state", "ls", "./state", cwd=workdir).stdout


def test_diabetes_in_python_comes_near_a_linear_model(workdir: Path) -> None:
    found = load_diabetes()
    inputs = found.data.astype(np.float32) * 20  # unit variance
    data = [(inputs[row], float(found.target[row])) for row in range(len(inputs))]
    for week in range(3):
        result = renate.run(
            {
                "state.url": "./state",
                "state.first": week == 0,
                "optimizer.lr": 0.01,
                "trainer.max_epochs": 20,
                "updater": "er",
            },
            data={"train": data[week * 110 : (week + 1) * 110], "test": data[330:]},
        )
    linear = LinearRegression().fit(found.data[:330], found.target[:330])
    reference = float(
        np.sqrt(np.mean((linear.predict(found.data[330:]) - found.target[330:]) ** 2))
    )
    assert result.metrics["test_rmse"] < 1.25 * reference
    assert result.metrics["test_r2"] > 0.25


@pytest.mark.slow
def test_a_sweep_takes_the_least_error(workdir: Path) -> None:
    houses(workdir / "1.parquet", 1)
    data = ["data=files", "data.target=price", "data.train=1.parquet"]
    said = command(
        *data, "tuner=grid", "optimizer.lr=0.05,1e-7", "trainer.max_epochs=3", cwd=workdir
    ).stdout
    assert re.search(r"optimizer\.lr\s*=?\s*0\.05", said), said
    again = command(
        *data,
        "problem=regression",
        "tuner=grid",
        "optimizer.lr=1e-7,0.05",
        "run_dir=b",
        cwd=workdir,
    )
    assert "0.05" in again.stdout


@pytest.mark.slow
def test_a_stream_shows_errors_by_their_name(workdir: Path) -> None:
    houses(workdir / "1.parquet", 1)
    data = [
        "data=files",
        "data.target=price",
        "data.train=1.parquet",
        "scenario=iid",
        "scenario.chunks=3",
    ]
    said = command("job=stream", *data, *TRAINED, "run_dir=runs", cwd=workdir).stdout
    assert "rmse on each chunk after each update" in said
    written = json.loads(next(workdir.glob("runs/*/matrix.json")).read_text())
    matrix = written["rmse"]
    assert (written["metric"], written["mode"]) == ("rmse", "min")
    assert written["metrics"]["average_rmse"] == pytest.approx(sum(matrix[2]) / 3)
    risen = sum(matrix[2][j] - min(matrix[0][j], matrix[1][j]) for j in range(2)) / 2
    assert written["metrics"]["forgetting"] == pytest.approx(risen), (
        "above 0 where errors have risen"
    )

    results = list(renate.stream([*data, *TRAINED, "updater=joint", "run_dir=python"]))
    assert [len(result.matrix) for result in results] == [1, 2, 3]
    assert results[-1].metrics["average_rmse"] > 1


@pytest.mark.slow
def test_what_can_not_be(workdir: Path) -> None:
    houses(workdir / "1.parquet", 1)
    data = ["data=files", "data.target=price", "data.train=1.parquet"]
    for more, text in (
        (["problem=classification"], "a label is a whole number, a boolean or text"),
        (
            ["job=stream", "scenario=class_incremental", "scenario.chunks=2"],
            "scenario=class_incremental cuts by class",
        ),
        (["objective.metric=val_accuracy"], "objective.metric=val_accuracy: not measured"),
        (["objective.mode=max"], "objective.mode=max with objective.metric=auto"),
        (
            ["problem=regression", "objective.metric=val_rmse", "objective.mode=max"],
            "of val_rmse less is better",
        ),
        (["problem=regresion"], "regression"),
        (
            ["problem._target_=renate.models.mlp.MLP"],
            "expected a class derived from renate.problems.base.Problem",
        ),
        (
            ["loss=cross_entropy"],
            "loss: CrossEntropyLoss is not of problem=regression, whose own is mse",
        ),
        (
            ["metrics=classification"],
            "metrics.accuracy: MulticlassAccuracy is not of problem=regression",
        ),
    ):
        said = command(*data, *more, cwd=workdir, code=1).stderr
        assert text in said, (more, said)


def test_a_metric_that_one_example_does_not_have(workdir: Path) -> None:
    houses(workdir / "1.parquet", 1)
    houses(workdir / "one.parquet", 2, rows=1)
    data = ["data=files", "data.target=price", "data.train=1.parquet", "data.test=one.parquet"]
    said = command(*data, "trainer.max_epochs=1", cwd=workdir, code=1).stderr
    assert "metrics.r2: Needs at least two samples" in said
    assert "give more examples to measure on" in said


@pytest.mark.slow
def test_a_state_keeps_its_problem(workdir: Path) -> None:
    houses(workdir / "1.parquet", 1)
    table = pq.read_table("1.parquet")
    classes = pa.array((table["price"].to_numpy() > 300_000).astype(int))
    pq.write_table(table.set_column(2, "price", classes), "2.parquet")
    once = ["data=files", "data.target=price", "state.url=./state", "trainer.max_epochs=2"]
    command(*once, "data.train=1.parquet", "state.first=true", cwd=workdir)
    said = command(
        *once,
        "data.train=1.parquet",
        "data.seen=again",
        "problem=classification",
        "seed=1",
        cwd=workdir,
        code=1,
    ).stderr
    assert "problem=classification: the state's is regression" in said
    said = command(*once, "data.train=2.parquet", cwd=workdir).stdout
    assert "test_rmse" in said, "whole numbers are no classes to a state that predicts numbers"


@pytest.mark.slow
def test_a_problem_of_the_users_own(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(workdir))
    houses(workdir / "1.parquet", 1)
    (workdir / "my_problem.py").write_text(
        "from renate.problems.regression import Regression\n\n\n"
        "class Whole(Regression):\n"
        "    metrics = {'mae': {'_target_': 'torchmetrics.regression.MeanAbsoluteError'}}\n"
        "    metric = 'mae'\n\n"
        "    def __init__(self):\n"
        "        super().__init__(standardise=True)\n\n"
        "    @property\n"
        "    def settings(self):\n"
        "        return {}\n\n"
        "    def decode(self, outputs):\n"
        "        return [round(value) for value in super().decode(outputs)]\n"
    )
    (workdir / "conf" / "problem").mkdir(parents=True)
    (workdir / "conf" / "problem" / "whole.yaml").write_text("_target_: my_problem.Whole\n")
    once = [
        "data=files",
        "data.target=price",
        "data.train=1.parquet",
        "problem=whole",
        "state.url=./state",
    ]
    own = {"own_process": True}
    said = command(*once, "state.first=true", "trainer.max_epochs=2", cwd=workdir, **own).stdout
    assert "test_mae" in said
    assert "test_rmse" not in said
    command(*once, "trainer.max_epochs=2", "seed=1", cwd=workdir, **own)
    inputs = torch.tensor([[3.0, 90.0]])
    with pytest.raises(ConfigError, match="trust"):
        renate.load_model("./state")
    (answer,) = renate.load_model("./state", trust=["my_problem"]).predict(inputs)
    assert type(answer) is int
