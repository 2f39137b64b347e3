"""Experiments: an update for each chunk, and tables of metrics by the definitions."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renate.benchmark.experimentation import execute_experiment_job
from renate.errors import ConfigError, RenateError
from renate.state.contents import metrics_from
from renate.state.versions import State
from tests.command import workers_kept_warm
from tests.conftest import ROOT

CONFIG = str(ROOT / "examples" / "train_mlp_locally" / "renate_config.py")
SPACE = {
    "updater": "DER",
    "optimizer": "SGD",
    "learning_rate": 0.1,
    "memory_size": 100,
    "max_epochs": 3,
}


@pytest.fixture(autouse=True)
def _warm() -> Iterator[None]:
    with workers_kept_warm():
        yield


def run(**given: Any) -> list[list[float]]:
    arguments = {
        "backend": "local",
        "config_file": CONFIG,
        "config_space": SPACE,
        "experiment_outputs_url": "results/",
        "mode": "max",
        "metric": "val_accuracy",
        "num_updates": 2,
    }
    return execute_experiment_job(**(arguments | given))


def test_updates_follow_each_other_and_all_chunks_are_measured(workdir: Path) -> None:
    matrix = run()
    states = [State(f"results/update_{update}") for update in range(2)]
    parent = states[1].manifest().parent
    assert parent is not None
    assert parent.url == states[0].url

    scores = [
        metrics_from(state.read(state.manifest(), "metrics.json"), "")["after"] for state in states
    ]
    expected = [[score[f"chunk_{i}"]["accuracy"] for i in range(2)] for score in scores]
    assert matrix == expected
    assert matrix[0][0] > 0.5
    assert matrix[0][1] < 0.2, "digits that it has not seen yet"

    first = metrics_from(states[0].read(states[0].manifest(), "metrics.json"), "")["before"]
    with Path("results/logs/metrics_summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["Task ID"] for row in rows] == ["1", "2"]
    last = {name: float(value) for name, value in rows[1].items()}
    assert last["Average Accuracy"] == pytest.approx(sum(matrix[1]) / 2)
    assert last["Forgetting"] == pytest.approx(matrix[0][0] - matrix[1][0])
    assert last["Backward Transfer"] == pytest.approx(matrix[1][0] - matrix[0][0])
    untrained = first["chunk_1"]["accuracy"]
    assert last["Forward Transfer"] == pytest.approx(matrix[0][1] - untrained)
    with Path("results/logs/metrics_summary_update_1.csv").open() as file:
        metrics, chunks, *updates = csv.reader(file)
    places = [place for place, name in enumerate(metrics) if name == "accuracy"]
    assert [chunks[place] for place in places] == ["Task 1", "Task 2"]
    assert [row[0] for row in updates] == ["1", "2"]
    assert [[float(row[place]) for place in places] for row in updates] == matrix
    assert Path("results/update_1/model.ckpt").is_file()


def test_a_scheduler_fn_is_said_to_be_left_out(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = workdir / "my_config.py"
    path.write_text(Path(CONFIG).read_text() + "\n\ndef scheduler_fn():\n    return None\n")
    with pytest.raises(ConfigError, match="did you mean"):
        run(config_file=str(path), config_space=SPACE | {"learningrate": 1})
    assert "scheduler_fn of" in capsys.readouterr().err


def test_states_may_be_dropped(workdir: Path) -> None:
    run(save_state=False, num_updates=1)
    assert not Path("results/update_0").exists()
    assert Path("results/logs/metrics_summary.csv").is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_updates": 0}, "num_updates=0: expected a whole number"),
        ({"num_updates": 3, "config_space": SPACE | {"max_epochs": 1}}, "no test data of chunk_2"),
        ({"config_space": SPACE | {"learningrate": 1}}, "did you mean 'learning_rate'"),
        ({"save_state": False, "experiment_outputs_url": "s3://b/x"}, "only states in a folder"),
    ],
)
def test_what_cant_be_right(workdir: Path, given: Any, message: str) -> None:
    with pytest.raises(RenateError, match=message):
        run(**given)
    assert not list(Path().glob("results/*/versions/*")), "nothing was trained"
