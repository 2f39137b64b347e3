"""What a job says and answers, as pipes, folders and files hold it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from renate.jobs.directory import JobDirectory
from renate.jobs.identity.already import is_gone
from renate.jobs.records import COMPLETED, STOPPED, UNFINISHED, Event, JobResult
from renate.state.publish import publish, stage
from renate.state.versions import State

# As the release before wrote it.
EARLIER = {
    "value": 0.91,
    "metrics": {"test_accuracy": 0.9},
    "version": 2,
    "status": "completed",
    "counts": {"steps": 8, "seconds": 0.5},
    "before": {},
    "url": "./state",
    "seconds": 1.25,
}


def test_a_result_of_an_earlier_release_is_read_and_written_the_same(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(EARLIER | {"of_a_later_release": 1}))
    result = JobDirectory(tmp_path).result
    assert result is not None
    assert result.completed
    assert (result.value, result.version, result.before) == (0.91, 2, {})
    assert result.to_json() == EARLIER


@pytest.mark.parametrize(
    "result",
    [
        JobResult(COMPLETED, 0.5, {"loss": 0.1}, 1, matrix=[[0.5]], already=1, job="runs/x"),
        JobResult.failure("no", capacity=True),
        JobResult(STOPPED, lost=True, seconds=0.0, sweep={}),
    ],
)
def test_nothing_is_lost_on_the_way(result: JobResult, tmp_path: Path) -> None:
    assert JobDirectory(tmp_path).finish(result) == result
    assert JobDirectory(tmp_path).result == result


def test_a_version_is_gone_with_its_state_or_where_another_job_made_it(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    stage(state, iter([("a", b"1")]), job="made", parent=None, lineage={})
    publish(state, "made")

    result = JobResult(COMPLETED, url=state.url, version=1)
    assert not is_gone(result, "made")
    assert is_gone(result, "other")
    assert not is_gone(replace(result, already=1), "other")
    assert is_gone(replace(result, version=2), "made")
    assert is_gone(replace(result, url=str(tmp_path / "elsewhere")), "made")
    assert not is_gone(replace(result, version=None), "made")


def test_what_there_is_none_of_is_left_out() -> None:
    assert JobResult(STOPPED).to_json() == {
        "status": "stopped",
        "value": None,
        "metrics": {},
        "version": None,
    }


def test_a_file_without_a_status_is_of_no_job_that_ended(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    result = JobDirectory(tmp_path).result
    assert result is not None
    assert result.status == UNFINISHED


def test_who_did_not_complete_has_a_reason() -> None:
    assert JobResult.failure("the disk is full").reason == "the disk is full"
    assert (
        replace(JobResult.failure("x"), status=STOPPED, error=None).reason == "the job was stopped"
    )


@pytest.mark.parametrize(
    "said",
    [
        {
            "event": "report",
            "text": "x",
            "update": "update 1/2",
            "metrics": {"step": 3, "loss": None},
        },
        {"event": "report", "text": "x", "always": True},
        {"event": "progress", "done": 0, "total": 2, "text": ""},
        {"event": "resumed", "reports": []},
        {"event": "started", "pid": 1},
        {"event": "of a later release", "anything": 1},
    ],
)
def test_an_event_is_the_same_on_the_other_side(said: dict[str, Any]) -> None:
    event = Event.from_json(said)
    assert Event.from_json(json.loads(json.dumps(event.to_json()))) == event
    assert {
        key: value for key, value in event.to_json().items() if key in said
    }.items() <= said.items()


def test_a_report_becomes_a_line_of_the_curve() -> None:
    metrics = {"epoch": 1, "loss": 0.5}
    assert Event("report", metrics=metrics).row == metrics
    assert (
        Event("report", update="update 1/2", metrics=metrics).row
        == {"update": "update 1/2"} | metrics
    )
