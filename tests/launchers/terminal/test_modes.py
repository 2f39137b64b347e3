"""What is seen while jobs run, in each mode."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from renate.errors import ConfigError
from renate.jobs.records import COMPLETED, PROGRESS, REPORT, Event, JobResult
from renate.launchers.terminal import ends
from renate.launchers.terminal.console import PlainConsole
from renate.launchers.terminal.progress import MODES, Progress
from tests.command import renate

EPOCH = {"epoch": 2, "step": 40, "train_loss": 0.5, "val_accuracy": 0.75, "val_loss": 0.6}
EVENTS = (
    Event(PROGRESS, "update 2/4 epoch 1/2", done=10, total=40),
    Event(REPORT, "epoch 2 …", update="update 2/4", metrics=EPOCH),
    Event(PROGRESS, "update 2/4 epoch 2/2", done=30, total=40),
)


def seen(mode: str, *, terminal: bool) -> tuple[Progress, str]:
    """What standard error shows of the events."""
    progress = Progress(mode)
    file = io.StringIO()
    progress.console = PlainConsole(
        file=file, force_terminal=terminal, width=160, highlight=False, soft_wrap=True
    )
    with progress.watching(1):
        for event in EVENTS:
            progress.event("er", event)
        progress.line("said")
        if progress.bars is not None:
            progress.bars.refresh()
    return progress, file.getvalue()


def test_a_terminal_has_update_epoch_metric_and_time_left() -> None:
    text = seen("auto", terminal=True)[1]
    assert "update 2/4 epoch 2/2" in text
    assert "val_accuracy 0.7500" in text
    assert "left" in text
    assert "said" in text
    assert "epoch 2 …" not in text, "bars stand for lines"


def test_a_streams_bar_counts_all_its_updates() -> None:
    progress = Progress()
    progress.console = PlainConsole(file=io.StringIO(), force_terminal=True)
    with progress.watching(1):
        progress.event("er", EVENTS[0])
        assert progress.bars is not None
        task = progress.bars.tasks[0]
        assert (task.completed, task.total) == (50, 160)
        progress.event("er", Event(PROGRESS, "update 2/4 reading x", done=1, total=3))
        assert (task.completed, task.total) == (1, 3)


@pytest.mark.parametrize("mode", MODES)
def test_whoever_waits_for_a_streams_end_is_called_once(mode: str) -> None:
    calls: list[str] = []
    progress = Progress(mode)
    progress.when_near_end = lambda: calls.append("near")
    for event in (
        Event(PROGRESS, "decoding images", done=9, total=10),
        Event(PROGRESS, "update 1/4 epoch 1/1", done=10, total=10),
        Event(PROGRESS, "update 4/4 epoch 1/1", done=1, total=10),
    ):
        progress.event("er", event)
        assert calls == []

    for done in (3, 10):
        progress.event("er", Event(PROGRESS, "update 4/4 epoch 1/1", done=done, total=10))
        assert calls == ["near"]


def test_what_draws_a_page_is_there_when_the_stream_has_ended() -> None:
    """The command's own process imports it, and nothing of it before."""
    lines = (
        "import sys, threading",
        "from types import SimpleNamespace as Names",
        "from renate.launchers.terminal import pages",
        "from renate.launchers.terminal.progress import Progress",
        "progress = Progress()",
        "pages.expect(progress, [Names(kind='update', config=Names(report='auto'))])",
        "assert progress.when_near_end is None",
        "pages.expect(progress, [Names(kind='stream', config=Names(report='none'))])",
        "assert progress.when_near_end is None",
        "pages.expect(progress, [Names(kind='stream', config=Names(report='auto'))])",
        "assert 'renate.report.written' not in sys.modules",
        "progress.when_near_end()",
        "[t.join() for t in threading.enumerate() if t is not threading.current_thread()]",
        "assert {*pages.SLOW} <= {*sys.modules}",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@pytest.mark.parametrize(("mode", "terminal"), [("auto", False), ("plain", True)])
def test_lines(mode: str, terminal: bool) -> None:
    assert seen(mode, terminal=terminal)[1].splitlines() == ["epoch 2 …", "said"]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress, text = seen("json", terminal=True)
    progress.ended("er", JobResult(COMPLETED))
    odd = JobResult(COMPLETED, value=float("nan"), metrics={"a": 1.0})
    ends.of_one(progress, "er", Path("/job"), odd)
    assert text == ""
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in found] == [
        *("progress", "report", "progress", "line", "ended", "result")
    ]
    assert found[1] == {
        "event": "report",
        "job": "er",
        "update": "update 2/4",
        "metrics": EPOCH,
        "text": "epoch 2 …",
    }
    assert found[-1]["directory"] == "/job"
    assert found[-1]["value"] is None, "JSON has no NaN"


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    progress, text = seen("quiet", terminal=True)
    ends.of_one(progress, "er", Path("/job"), JobResult(COMPLETED))
    ends.of_one(progress, "er", Path("/lost"), JobResult.failure("no"))
    assert text == ""
    assert capsys.readouterr().out == "/job\n"


def test_no_such_mode() -> None:
    with pytest.raises(ConfigError, match="terminal=quite: expected auto, plain, json, quiet"):
        Progress("quite")
    assert len(MODES) == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "terminal=jsonl",
            "terminal=jsonl: expected auto, plain, json, quiet, did you mean 'json'?",
        ),
        ("report=yes", "report=yes: expected auto or none"),
    ],
)
def test_a_mistake_is_one_line(override: str, message: str, workdir: Path) -> None:
    said = renate(override, cwd=workdir, code=1)
    assert message in said.stderr
    assert not (workdir / "runs").exists()
