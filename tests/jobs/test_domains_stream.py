"""A stream through domains: files of their own, tests of their own."""

import json
from pathlib import Path

import pytest

from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table


@pytest.mark.slow
def test_each_update_is_trained_and_measured_on_its_domain(workdir: Path) -> None:
    """Each is turned by another angle, so that a model of one is wrong about the others."""
    for number, name in enumerate(("paint", "photo", "sketch")):
        write_table(workdir / "train" / f"{name}.parquet", seed=number, shift=2.1 * number)
        write_table(workdir / "test" / f"{name}.parquet", seed=9 + number, shift=2.1 * number)

    line = ["job=stream", "scenario=data_incremental", "scenario.domains=[sketch,paint]"]
    files = ["data=files", "data.train=train/*.parquet", "data.test=test/*.parquet"]
    quick = [
        "data.target=label",
        "updater=fine_tuning",
        "trainer.max_epochs=15",
        "optimizer.lr=0.3",
    ]
    command(*line, *files, *quick, "state.url=./s", cwd=workdir)

    (folder,) = [
        path.parent for path in workdir.glob("runs/*/matrix.json") if not path.parent.is_symlink()
    ]
    matrix = json.loads((folder / "matrix.json").read_text())["accuracy"]
    assert matrix[0][0] > 0.9
    assert matrix[0][1] < 0.5
    assert matrix[1][1] > 0.9
    assert matrix[1][0] < 0.5, "fine-tuning forgets"
    state = State(str(workdir / "s"))
    assert state.versions() == [1, 2]

    done = command(*line[:2], "scenario.domains=[sketch,pant]", *files, *quick, cwd=workdir, code=1)
    assert "no row of the domain 'pant'" in done.stderr
    assert "did you mean 'paint'" in done.stderr
