"""The scripts of examples/ run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

from renate.state.versions import State
from renate.tuning.on_disk.trial_history import read
from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"
LOCAL = EXAMPLES / "train_mlp_locally"


def run(script: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_two_updates_without_tuning(workdir: Path) -> None:
    shown = run(LOCAL / "start_training_with_er_without_hpo.py")
    assert shown.count("val_accuracy=") == 2 * 50
    second = State("state_dump_second_model")
    assert second.versions() == [1]
    parent = second.manifest().parent
    assert parent is not None
    assert parent.url == State("state_dump_first_model").url


@pytest.mark.slow
def test_two_tuned_updates(workdir: Path) -> None:
    run(LOCAL / "start_training_with_er_with_hpo.py")
    rows = [
        read(
            State(f"state_dump_{name}_model_hpo"), State(f"state_dump_{name}_model_hpo").manifest()
        )
        for name in ("first", "second")
    ]
    assert [len(each) for each in rows] == [5, 10]
    completed = [row for row in rows[0] if row["status"] == "completed"]
    best = max(completed, key=lambda row: float(row["value"]))
    first = rows[1][5]
    for key in ("optimizer.lr", "data.batch_size", "updater.replay_batch_size"):
        assert first[key] == best[key], "the first update's best comes first"
    assert all(1 <= int(row["updater.replay_batch_size"]) <= 32 for row in rows[1])
