"""What a job reports, from its folder to the terminal and into its local directory, until its
end.
"""

import threading
import time
from collections.abc import Callable, Iterator

from renate.jobs.directory import JobDirectory, in_words
from renate.jobs.records import (
    LOG,
    PHASE,
    PROGRESS,
    REPORT,
    RESUMED,
    STOPPED,
    TOLD,
    Event,
    JobResult,
    ReportRow,
)

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
        closing: threading.Event,
    ) -> None:
        self.look = look
        self.folder = folder
        self.name = name
        self.poll = poll
        self.closing = closing
        self.seen = 0
        self.asked = 0.0
        self.job: RemoteJob | None = None

    def events(self) -> Iterator[Event | JobResult]:
        """Yield what the job reports, what its backend says as events `phase`, and at last its
        result.
        """
        pause = FIRST
        phase = ""

        while not self.closing.is_set():
            over = self._is_over()
            result = self.folder.result(self.name)
            before = self.seen
            yield from self._new()  # all of it: reports are written before the result is

            said = ""
            if self.job is not None:
                said = self.job.phase

            if phase != said:
                phase = said
                if phase:
                    yield Event(PHASE, phase)

            if result is not None or over:
                yield result or self._without_result()
                return

            if self.seen > before:
                pause = FIRST
            else:
                pause = min(pause * GROWTH, self.poll)

            self.closing.wait(pause)

    def _new(self) -> Iterator[Event]:
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


def write_down(directory: JobDirectory, event: Event) -> Iterator[Event]:
    """Keep in the local directory what a local job would have written there, and yield what is
    news.

    A machine that was taken away may have kept reports to itself: those that its successor
    remembers are news too.
    """
    if event.kind == LOG:
        with (directory.path / "log.txt").open("a") as log:
            log.write(event.text)
    elif event.kind == RESUMED:
        known = {(row.update, row.step) for row in directory.reports()}
        kept = [ReportRow.from_json(one) for one in event.reports or []]
        directory.recall(kept)  # what came after them will be reported again
        yield from (_as_event(row) for row in kept if (row.update, row.step) not in known)
        return
    elif event.kind == TOLD:
        yield from _told(directory, event)
        return
    elif event.kind == REPORT and event.metrics is not None:
        _write_report(directory, event, event.metrics["step"])

    yield event


def _told(directory: JobDirectory, event: Event) -> Iterator[Event]:
    """Keep what an earlier run has told beside what is known, which may be more: its machine may
    have been lost before all was copied.
    """
    rows = [ReportRow.from_json(one) for one in event.reports or []]
    if not rows:
        return

    heard = directory.reports()
    known = {(row.update, row.step) for row in heard}
    all_of_them = {(row.update, row.step): row for row in [*heard, *rows]}
    updates = list(dict.fromkeys(row.update for row in [*rows, *heard]))
    directory.recall(
        sorted(all_of_them.values(), key=lambda row: (updates.index(row.update), row.step))
    )
    yield from (_as_event(row) for row in rows if (row.update, row.step) not in known)


def _write_report(directory: JobDirectory, event: Event, step: float) -> None:
    line = ReportRow(event.metrics or {}, event.update, event.time)
    kept = [
        report
        for report in directory.reports()
        # What lies beyond is of a try that was interrupted.
        if report.update != event.update or report.step < step
    ]
    directory.recall([*kept, line])


def _as_event(row: ReportRow) -> Event:
    text = in_words(row.update, row.metrics)
    return Event(REPORT, text, row.time, row.update, row.metrics)


def show(progress: Progress, name: str, event: Event) -> None:
    """What the terminal says of a job's event."""
    if event.kind == PHASE:
        progress.line(f"{name}: {event.text}" if progress.many else event.text)
    elif event.kind == LOG and not progress.many:
        for line in event.text.splitlines():
            progress.line(line)
    elif event.kind in (REPORT, PROGRESS):
        progress.event(name, event)


def so_far(folder: JobFolder, run: str) -> Iterator[Event]:
    """The events that a submission has reported until now."""
    number = 1
    while (batch := folder.reports(run, number)) is not None:
        yield from batch
        number += 1


def catch_up(directory: JobDirectory, folder: JobFolder) -> None:
    """Write down what a job has told that has ended while nobody followed it, and its result; of
    one that published and was lost before it could say so, what it has told itself.
    """
    last = folder.last()
    if last is not None and directory.result is None:
        result = folder.result(last.name)
        if result is not None:
            for event in so_far(folder, last.name):
                for _ in write_down(directory, event):
                    pass
            directory.finish(result)

    for _ in write_down(directory, Event(TOLD, reports=folder.kept_reports())):
        pass


def lines(folder: JobFolder, run: str, follower: Follower | None) -> Iterator[str]:
    """What a submission has printed and reported, in lines.

    Args:
        folder: The job's.
        run: The submission.
        follower: Goes on until its end, whose failure is the last line; None: what there is so far.
    """
    events: Iterator[Event | JobResult] = iter(so_far(folder, run))
    if follower is not None:
        events = follower.events()

    for event in events:
        if isinstance(event, JobResult):
            if event.failed:
                yield f"renate: {event.error}"
            elif event.status == STOPPED:
                again = "the same command goes on from its last checkpoint"
                yield f"renate: it was stopped; {again} ({run})"
        elif event.kind in (REPORT, LOG):
            yield from event.text.splitlines()
