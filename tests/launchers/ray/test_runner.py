"""What an actor looks at before it begins a job."""

import os
from pathlib import Path

import pytest

from renate.launchers.ray import runner
from renate.launchers.ray.runner import Runner, Task


def task(folder: Path, **more: str) -> Task:
    base = str(folder / "ray")
    given = {"name": "renate-1", "job": "one", "base": base, "channel": {}, "code": None}
    return Task(**{"directory": None, "cwd": None, **given, **more})  # type: ignore[arg-type]


def test_folders_that_a_node_does_not_see_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SEEN_WITHIN", 0.1)
    said = Runner().run(task(tmp_path, cwd=str(tmp_path / "mine")))
    assert said.startswith("backend.working_copy=shared: the node ")
    assert f"doesn't see {tmp_path / 'mine'}: where nodes share no folder" in said

    folder = tmp_path / "ray" / "jobs" / "one"
    said = Runner().run(task(tmp_path, directory=str(folder / "checkpoints")))
    assert said.startswith("backend.staging: the node ")
    assert not folder.exists(), "nothing is begun there"


def test_a_jobs_variables_are_the_actors_for_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object store is opened by the actor, with the credentials that the job is given."""
    seen: list[str | None] = []

    def look(self: Runner, task: Task, folder: Path) -> str:
        seen.extend(os.environ.get(name) for name in ("GIVEN", "CHANGED"))
        return ""

    monkeypatch.setattr(Runner, "_run", look)
    monkeypatch.delenv("GIVEN", raising=False)
    monkeypatch.setenv("CHANGED", "before")
    given = Task(
        "renate-1", "one", "s3://b/p", {}, None, None, None, {"GIVEN": "1", "CHANGED": "2"}
    )
    Runner().run(given)
    assert seen == ["1", "2"]
    assert "GIVEN" not in os.environ
    assert os.environ["CHANGED"] == "before"
