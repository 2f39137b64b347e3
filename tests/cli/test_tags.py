"""Tags and notes go along with jobs and versions, and change nothing else."""

from pathlib import Path

import pytest

from renate.state.versions import State
from tests.command import renate as command

QUICK = ["trainer.max_epochs=1", "data.limit=60"]


def test_they_are_kept_and_shown(workdir: Path) -> None:
    first = [*QUICK, "state.url=./s", "state.first=true"]
    command(*first, "tags=[nightly,eu]", "notes='the new sensor, at last'", cwd=workdir)
    lineage = State("./s").manifest().lineage
    assert lineage["tags"] == ["nightly", "eu"]
    assert lineage["notes"] == "the new sensor, at last"

    shown = command("state", "show", "./s", cwd=workdir).stdout
    assert "tags       nightly eu\n" in shown
    assert "notes      the new sensor, at last\n" in shown
    listed = command("jobs", "ls", cwd=workdir, COLUMNS="300").stdout
    assert "tags, notes" in listed
    assert "nightly eu the new sensor, at last" in listed

    command(*first, "tags=[other]", cwd=workdir)
    assert State("./s").versions() == [1], "it is the same job"


def test_without_any_all_is_as_before(workdir: Path) -> None:
    command(*QUICK, "state.url=./s", "state.first=true", cwd=workdir)
    assert not {"tags", "notes"} & State("./s").manifest().lineage.keys()
    assert "tags" not in command("jobs", "ls", cwd=workdir, COLUMNS="300").stdout
    (record,) = workdir.glob("runs/[!l]*/job.json")
    assert "tags" not in record.read_text()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tags=nightly", "tags=nightly: expected a list"),
        ("tags=[7]", "7: expected words"),
        ("tags=['']", "'': expected words"),
        ("notes=[a]", "expected one line of printable characters"),
    ],
)
def test_what_cant_be_right(workdir: Path, override: str, message: str) -> None:
    done = command(*QUICK, override, cwd=workdir, code=1)
    assert message in done.stderr
    assert done.stderr.strip().count("\n") == 0
