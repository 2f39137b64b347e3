"""What supervises a job on another machine."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from renate.jobs.directory import JobDirectory
from renate.jobs.records import Event
from renate.jobs.running.torchrun import Group
from renate.launchers.remote.inside import run_job


class ToldEarly:
    """A worker whose parent is told to end just before the processes begin."""

    def __init__(self, number: int, group: Group) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def send(self, order: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self.process = subprocess.Popen(["sleep", "5"])

    def tell_to_end(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def events(self, timeout: None, heartbeat: None) -> Iterator[Event | None]:
        return iter(())

    def kill(self) -> str:
        return "its end"


@pytest.fixture
def handler() -> Iterator[None]:
    kept = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, kept)


@pytest.mark.usefixtures("handler")
def test_told_to_end_before_the_job_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_job, "GroupWorker", ToldEarly)
    code = run_job.supervise(JobDirectory(tmp_path), Group(processes=1), None)
    assert code == 128 + signal.SIGTERM
