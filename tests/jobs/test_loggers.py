"""What reaches loggers: each epoch's metrics, the test's, a stream's matrix, hyper-parameters."""

import csv
import importlib.util
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from renate.jobs.running.loggers import parameters_of
from tests.command import renate as command
from tests.command import workers_kept_warm

LINES = '''
import json

from pytorch_lightning.loggers import Logger


class Lines(Logger):
    """Writes down what it is told."""

    def __init__(self, path):
        self.path = path

    def say(self, kind, content):
        with open(self.path, "a") as file:
            file.write(json.dumps([kind, content]) + "\\n")

    @property
    def name(self):
        return "lines"

    @property
    def version(self):
        return 0

    def log_hyperparams(self, params):
        self.say("parameters", dict(params))

    def log_metrics(self, metrics, step=None):
        self.say("metrics", {"step": step, **metrics})

    def finalize(self, status):
        self.say("end", status)
'''
QUICK = ["trainer.max_epochs=2", "data.limit=100"]


@pytest.fixture(autouse=True)
def _warm() -> Iterator[None]:
    with workers_kept_warm():
        yield


@pytest.fixture
def lines(workdir: Path) -> list[str]:
    """Overrides that choose a logger of one's own, beside the CSV one."""
    (workdir / "my_loggers.py").write_text(LINES)
    path = workdir / "lines.jsonl"
    return ["logger=csv", f"+logger.mine={{_target_:my_loggers.Lines,path:{path}}}"]


def told(workdir: Path, kind: str) -> list[Any]:
    rows = [json.loads(line) for line in (workdir / "lines.jsonl").read_text().splitlines()]
    return [content for found, content in rows if found == kind]


def test_an_update_reaches_each_of_several(workdir: Path, lines: list[str]) -> None:
    secret = "+job.note=${oc.env:SECRET_URL}"
    command(*lines, *QUICK, "optimizer.lr=0.25", secret, cwd=workdir, SECRET_URL="https://me:pw@x")

    metrics = told(workdir, "metrics")
    assert [set(row) for row in metrics] == [
        *[{"step", "train_loss", "val_accuracy", "val_loss"}] * 2,
        {"step", "test_accuracy", "test_loss"},
    ]
    assert metrics[-1]["step"] == metrics[1]["step"] == 2 * metrics[0]["step"]

    (parameters,) = told(workdir, "parameters")
    assert parameters["optimizer.lr"] == 0.25
    assert parameters["memory.capacity"] == 1000
    assert "pw@x" not in json.dumps(parameters)
    assert parameters["job.note"] == "${oc.env:SECRET_URL}"
    assert told(workdir, "end")

    (file,) = workdir.glob("runs/[!l]*/csv/version_0/metrics.csv")
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    assert [bool(row["test_accuracy"]) for row in rows] == [False, False, True]
    assert float(rows[-1]["test_accuracy"]) == metrics[-1]["test_accuracy"]


def test_a_streams_matrix_reaches_them_row_by_row(workdir: Path, lines: list[str]) -> None:
    stream = ["job=stream", "scenario=class_incremental", "scenario.chunks=2", *QUICK]
    command(*lines, *stream, cwd=workdir)
    metrics = told(workdir, "metrics")
    (matrix,) = workdir.glob("runs/[!l]*/matrix.json")
    written = json.loads(matrix.read_text())["accuracy"]
    tests = [row for row in metrics if any(name.startswith("test_") for name in row)]
    assert len(tests) == 2
    values = [[value for name, value in row.items() if "accuracy" in name] for row in tests]
    for row, found in zip(written, values, strict=True):
        assert {*row} <= {*found}
    averages = [row["average_accuracy"] for row in metrics if "average_accuracy" in row]
    assert averages[-1] == pytest.approx(sum(written[-1]) / 2)
    assert len(told(workdir, "parameters")) == 2, "each update is a run of its own"


def test_tensorboard(workdir: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    command("logger=[csv,tensorboard]", *QUICK, cwd=workdir)
    (folder,) = workdir.glob("runs/[!l]*/tensorboard/version_0")
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = {"train_loss", "val_accuracy", "val_loss", "test_accuracy", "test_loss"}
    assert scalars <= set(events.Tags()["scalars"])
    assert len(events.Scalars("val_accuracy")) == 2
    assert len([*workdir.glob("runs/[!l]*/csv/version_0/metrics.csv")]) == 1


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_package_that_isnt_there_is_named(workdir: Path, name: str) -> None:
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    done = command(f"logger={name}", *QUICK, cwd=workdir, code=1)
    expected = f"logger.{name} needs {name}: pip install 'renate-cl[{name}]'"
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["logger=[csv,tensorboard]", "logger.tensorbord.name=x"],
            "did you mean 'logger.tensorboard.name'",
        ),
        (["logger=[csv,tensorbord]"], "tensorbord"),
        (
            ["logger=csv", "+logger.b={_target_:torch.nn.Linear,in_features:1,out_features:1}"],
            "expected one of Lightning's loggers",
        ),
    ],
)
def test_what_cant_be_right(workdir: Path, overrides: list[str], message: str) -> None:
    done = command(*overrides, *QUICK, cwd=workdir, code=1)
    assert message in done.stderr
    assert done.stderr.strip().count("\n") <= 3


def test_parameters_are_flat() -> None:
    text = "a: {b: 1, c: {d: x, e: [1, 2]}}\nf: null\nlogger: {name: y}\nbackend: {role: z}\n"
    assert parameters_of(text) == {"a.b": 1, "a.c.d": "x", "a.c.e": "[1, 2]", "f": None}


@pytest.mark.slow
def test_mlflow_for_real(workdir: Path) -> None:
    """Into a database in the job's directory, where nothing says where else."""
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    command("logger=mlflow", *QUICK, cwd=workdir)
    (path,) = {found.resolve() for found in workdir.glob("runs/*/mlflow.db")}
    with closing(sqlite3.connect(path)) as database:
        steps = database.execute("select step from metrics where key = 'val_accuracy'").fetchall()
        names = {name for (name,) in database.execute("select key from params")}

    assert len(steps) == 2, "one an epoch"
    assert {"optimizer.lr", "seed"} <= names
