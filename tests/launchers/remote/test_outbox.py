"""What a job far away reports arrives in order, whatever the store does meanwhile."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from renate.errors import StateError
from renate.jobs.directory import JobDirectory
from renate.jobs.records import COMPLETED, LOG, PROGRESS, REPORT, RESUMED, TOLD, Event, JobResult
from renate.launchers.remote.follow import catch_up, write_down
from renate.launchers.remote.inside import outbox
from renate.launchers.remote.job_folder import JobFolder
from renate.state.store import Store, open_store

Json = dict[str, Any]


def report(epoch: int, loss: float = 0.5) -> Event:
    metrics = {"epoch": epoch, "step": 10 * epoch, "loss": loss}
    return Event(REPORT, f"epoch {epoch}", metrics=metrics)


def arrived(store: Store, run: str) -> list[Json]:
    keys = [entry.key for entry in store.list(f"{run}/reports")]
    return [event for key in keys for event in json.loads(bytes(store.get(key)))]


def test_reports_wait_for_a_store_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PERIOD", 0.01)
    store = open_store(str(tmp_path))
    failing = [True] * 3
    (tmp_path / "run/reports").mkdir(parents=True)

    def put(key: str, data: bytes) -> None:
        if failing and failing.pop():
            raise StateError("no connection")
        (tmp_path / key).write_bytes(data)

    monkeypatch.setattr(store, "put", put)
    box = outbox.Outbox(store, "run")
    for epoch in range(1, 21):
        box.put(report(epoch))
    while failing:
        time.sleep(0.01)
    box.put(Event(PROGRESS, done=1, total=2))
    box.put(Event(PROGRESS, done=2, total=2))
    box.close(JobResult(COMPLETED))
    box.close(JobResult.failure("too late"))
    events = arrived(store, "run")
    assert [e["metrics"]["epoch"] for e in events if e["event"] == "report"] == list(range(1, 21))
    assert events[-1]["done"] == 2
    assert json.loads((tmp_path / "run/result.json").read_text())["status"] == COMPLETED, "once"
    again = outbox.Outbox(store, "run")  # of a machine that took over
    again.put(report(21))
    again.close(None)
    assert arrived(store, "run")[-1]["metrics"]["epoch"] == 21


def test_what_a_successor_remembers_is_news_once(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)

    def take(*events: Event) -> list[int]:
        news = [one for event in events for one in write_down(directory, replace(event, time=1.0))]
        return [one.metrics["epoch"] for one in news if one.metrics is not None]

    assert take(report(2)) == [2]
    kept = [{"time": 0.5, "epoch": epoch, "step": 10 * epoch, "loss": 0.5} for epoch in (1, 2)]
    assert take(Event(RESUMED, reports=kept)) == [1], "epoch 2 was heard of"
    assert take(report(3), report(4), report(3)) == [3, 4, 3]
    assert [r.epoch for r in directory.reports()] == [1, 2, 3]
    within = replace(report(3), metrics={"epoch": 3, "step": 35, "loss": 0.4})
    assert take(within) == [3]
    assert [r.step for r in directory.reports()] == [10, 20, 30, 35], (
        "several reports in an epoch are kept"
    )
    told = [{"time": 0.5, "epoch": epoch, "step": 10 * epoch, "loss": 0.5} for epoch in (3, 4)]
    assert take(Event(TOLD, reports=[*kept, *told])) == [4], "the end of what it had done before"
    assert [r.step for r in directory.reports()] == [10, 20, 30, 35, 40], "nothing is forgotten"
    assert take(Event(LOG, "hello\n")) == []
    assert (tmp_path / "log.txt").read_text() == "hello\n"


@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/0"])
def test_what_a_job_kept_to_itself_is_written_down_once_it_has_published(
    place: str, tmp_path: Path
) -> None:
    """Its machine was lost after that, and the command only heard of a failure."""
    folder = JobFolder(str(tmp_path / "jobs" / "one"))
    folder.claim(1, "run")
    outbox.Outbox(folder.store, "run").close(JobResult.failure("killed"))
    lines = [{"time": 0.5, "epoch": epoch, "step": 10 * epoch, "loss": 0.5} for epoch in (1, 2, 3)]
    half = '{"time": 0.5, "epo'
    text = "".join(json.dumps(line) + "\n" for line in lines) + half
    kept = tmp_path / "jobs" / "one" / place
    kept.mkdir(parents=True)
    (kept / "metrics.jsonl").write_text(text)

    directory = JobDirectory(tmp_path / "here")
    directory.path.mkdir()
    list(write_down(directory, replace(report(1), time=0.5)))
    directory.finish(JobResult.failure("killed"))
    catch_up(directory, folder)
    assert [row.to_json() for row in directory.reports()] == lines
    assert directory.result is not None
    assert directory.result.failed, "the version says what came of it"
