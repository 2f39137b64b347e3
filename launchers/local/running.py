"""Jobs of a run directory, looked at from another process while they run."""

import time
from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf

from renate.errors import JobError
from renate.files import Tail
from renate.jobs.directory import JobDirectory, in_words
from renate.jobs.records import JobResult

from ..base import ComposedJob
from ..terminal.progress import Progress

LOOK = 0.3  # seconds between two looks at a job's files


class Reader:
    """Reads on in what a job prints and reports, from where it was."""

    def __init__(self, directory: JobDirectory) -> None:
        self.directory = directory
        self.log = Tail(directory.path / "log.txt")
        self.reports = 0

    def lines(self) -> Iterator[str]:
        """The complete lines since the last call."""
        yield from self.log.lines()

        reports = self.directory.reports()
        for report in reports[self.reports :]:
            yield in_words(report.update, report.metrics)

        self.reports = len(reports)  # fewer than before, where an interrupted epoch is run again


def is_running(directory: JobDirectory) -> bool:
    """Whether a process holds the job's directory."""
    try:
        with directory.alone():
            return False
    except JobError:
        return True


def lines(directory: JobDirectory, *, follow: bool) -> Iterator[str]:
    """What a job has printed and reported, so far or until its end; a failure is the last line."""
    yield from _told(directory, follow=follow)
    result = directory.result
    if result is not None and result.failed:
        yield f"renate: {result.reason}"


def _told(directory: JobDirectory, *, follow: bool) -> Iterator[str]:
    reader = Reader(directory)
    while True:
        over = directory.result is not None or not is_running(directory)  # before the last look
        yield from reader.lines()
        if over or not follow:
            return
        time.sleep(LOOK)


def stop(directory: JobDirectory) -> str:
    """Ask a job to end at its next report; says what becomes of it.

    Raises:
        JobError: It doesn't run here.
    """
    if (result := directory.result) is not None:
        return f"{directory.path.name} is {result.status} already"

    _check_running(directory)
    directory.stop()
    return f"{directory.path.name} ends at its next report"


def wait(directory: JobDirectory) -> tuple[ComposedJob, JobResult]:
    """Follow a job to its end.

    Raises:
        JobError: It doesn't run here, or died.
    """
    progress = Progress()
    if directory.result is None:
        _check_running(directory)
        with progress.watching(1):
            for line in _told(directory, follow=True):
                progress.line(line)

    result = directory.result
    if result is None:
        raise JobError(
            f"{directory.path.name}: its process ended without a result; the same command goes on"
        )

    return job_in(directory), result


def job_in(directory: JobDirectory) -> ComposedJob:
    """The job that a directory was written for."""
    config = OmegaConf.load(directory.path / "config.yaml")
    assert isinstance(config, DictConfig)
    record = directory.record
    return ComposedJob(0, list(record.overrides), config, directory, record)


def _check_running(directory: JobDirectory) -> None:
    if is_running(directory):
        return

    name = directory.path.name
    backend = directory.record.backend
    if backend is not None:
        raise JobError(f"{name}: it was submitted, not started here: add --backend {backend}")

    raise JobError(
        f"{name}: it doesn't run on this machine; the same command starts it, or goes on"
    )
