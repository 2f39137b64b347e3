"""What an object store holds in the place of a job's reports and results."""

import json
from pathlib import Path

import pytest

from renate.errors import JobError
from renate.jobs.directory import JobDirectory
from renate.launchers.remote.job_folder import JobFolder
from renate.launchers.remote.outcome.returned import attempt_from, checked, events_from, result_from
from renate.launchers.remote.sweep import unpack


@pytest.mark.parametrize("name", ["../../other", "/tmp/x", "", ".", "a/b", "a\x1b", 3])
def test_a_sweep_writes_inside_its_run_directory_only(name: object, tmp_path: Path) -> None:
    sweep = tmp_path / "runs" / "sweep"
    sweep.mkdir(parents=True)
    job = {
        "id": name,
        "config": "a: 1",
        "record": {"id": name},
        "reports": [],
        "result": {"status": "completed"},
    }
    with pytest.raises(JobError, match="is no name for a job"):
        unpack(JobDirectory(sweep), {"jobs": [job]}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]


TUNED = {
    "id": "sweep-a",
    "recipe": "r",
    "parent": None,
    "to": "./state",
    "metric": "val_accuracy",
    "mode": "max",
    "others": {},
    "seed": 0,
    "overrides": [],
    "space": {"domains": {}, "conditions": {}},
    "created": 0.0,
    "cwd": ".",
}


def test_a_winner_goes_to_a_local_state_where_its_folder_is_of_this_machine(tmp_path: Path) -> None:
    """An object store may hold anything: by its word nothing here is published to."""
    swept = {"status": "completed", "sweep": {"record": TUNED, "events": ""}}
    with pytest.raises(ValueError, match="'./state' isn't in an object store"):
        result_from(swept)
    assert result_from(swept, from_here=True) == swept
    key = tmp_path / "run" / "result.json"
    key.parent.mkdir()
    key.write_text(json.dumps(swept))
    found = JobFolder(str(tmp_path)).result("run")
    assert found is not None
    assert found.completed


@pytest.mark.parametrize(
    ("raw", "check"),
    [
        (b'{"status": "fine"}', result_from),
        (b'{"status": "completed", "value": NaN}', result_from),
        (b'{"status": "completed", "version": "1"}', result_from),
        (b'{"status": "completed", "sweep": {"jobs": [{"id": "a"}]}}', result_from),
        (b'[{"event": "report", "text": "x", "metrics": {"loss": []}, "time": 1}]', events_from),
        (b'{"name": "../x"}', attempt_from),
        (b"nonsense", events_from),
    ],
)
def test_other_content_is_refused(raw: bytes, check: object) -> None:
    with pytest.raises(JobError, match="isn't what a job of renate writes"):
        checked(check, raw, "s3://b/x")  # type: ignore[arg-type]
