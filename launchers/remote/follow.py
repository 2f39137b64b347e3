"""What a job reports, from its folder to the terminal and into its local directory, until its end."""

import time
from collections.abc import Callable, Iterator
from threading import Event

from renate.jobs.directory import JobDirectory, Json, in_words
from renate.jobs.records import JobResult

from ..terminal.progress import Progress
from .backend import RemoteJob
from .job_folder import JobFolder

FIRST = 0.2  # seconds between two looks at the folder; then ever more, up to backend.poll
GROWTH = 1.1
ASK = 2.0  # seconds between two questions to the backend itself, at least


class Follower:
    """Follows one submission.

    Args:
        look: Asks the backend how the job is; None: there is none of that name any more.
        folder: The job's.
        name: The submission's.
        poll: Seconds between two looks, at most.
        closing: Set once nobody listens any more.
    """

    def __init__(
        self,
        look: Callable[[str], RemoteJob | None],
        folder: JobFolder,
        name: str,
        poll: float,
        closing: Event,
    ) -> None:
        self.look = look
        self.folder = folder
        self.name = name
        self.poll = poll
        self.closing = closing
        self.seen = 0
        self.asked = 0.0
        self.job: RemoteJob | None = None

    def events(self) -> Iterator[Json]:
        """Yield what the job reports, what its backend says as events `phase`, and at last an `end`."""
        pause = FIRST
        phase = ""
        while not self.closing.is_set():
            over = self._is_over()
            result = self.folder.result(self.name)
            before = self.seen
            yield from self._new()  # all of it: reports are written before the result is

            said = self.job.phase if self.job is not None else ""
            if phase != said:
                phase = said
                if phase:
                    yield {"event": "phase", "text": phase}
            if result is not None or over:
                yield {"event": "end", "result": result or self._without_result()}
                return
            pause = FIRST if self.seen > before else min(pause * GROWTH, self.poll)
            self.closing.wait(pause)

    def _new(self) -> Iterator[Json]:
        while (batch := self.folder.reports(self.name, self.seen + 1)) is not None:
            self.seen += 1
            yield from batch

    def _is_over(self) -> bool:
        """Whether the job was over, before its folder is read for the last time."""
        if time.monotonic() - self.asked < min(ASK, self.poll):
            return False
        self.job = self.look(self.name)
        self.asked = time.monotonic()
        return self.job is None or not self.job.running

    def _without_result(self) -> JobResult:
        """The end of a job that left none: it never began, or was stopped."""
        job = self.job
        if job is None:
            job = RemoteJob(False, why_ended=f"there is no job {self.name} any more")
        error = f"{job.why_ended} ({self.name})"
        return JobResult.failure(error, capacity=job.no_machine)


def write_down(directory: JobDirectory, event: Json) -> Iterator[Json]:
    """Keep in the local directory what a local job would have written there, and yield what is news.

    A machine that was taken away may have kept reports to itself: those that its successor remembers
    are news too.
    """
    if event["event"] == "log":
        with (directory.path / "log.txt").open("a") as log:
            log.write(event["text"])
    elif event["event"] == "resumed":
        known = {_which(report) for report in directory.reports()}
        directory.recall(event["reports"])  # what came after them will be reported again
        yield from (_as_event(one) for one in event["reports"] if _which(one) not in known)
        return
    elif event["event"] == "report" and "metrics" in event:
        _write_report(directory, event)
    yield event


def _write_report(directory: JobDirectory, event: Json) -> None:
    update = event.get("update") or ""
    metrics = event["metrics"]
    line = {"time": event["time"], **({"update": update} if update else {}), **metrics}
    kept = [
        report
        for report in directory.reports()
        # What lies beyond is of a try that was interrupted.
        if report.get("update", "") != update or report["step"] < metrics["step"]
    ]
    directory.recall([*kept, line])


def _which(report: Json) -> tuple[str, int]:
    return report.get("update", ""), report["step"]


def _as_event(report: Json) -> Json:
    update = report.get("update", "")
    metrics = {key: value for key, value in report.items() if key not in ("time", "update")}
    return {
        "event": "report",
        "time": report["time"],
        "text": in_words(update, metrics),
        "update": update,
        "metrics": metrics,
    }


def show(progress: Progress, name: str, event: Json) -> None:
    """What the terminal says of a job's event."""
    if event["event"] == "phase":
        progress.line(f"{name}: {event['text']}" if progress.many else event["text"])
    elif event["event"] == "log" and not progress.many:
        for line in event["text"].splitlines():
            progress.line(line)
    elif event["event"] in ("report", "progress"):
        progress.event(name, event)


def so_far(folder: JobFolder, run: str) -> Iterator[Json]:
    """The events that a submission has reported until now."""
    number = 1
    while (batch := folder.reports(run, number)) is not None:
        yield from batch
        number += 1
