"""What a job reports, from S3 to the terminal and into its local directory, until its end."""

import time
from collections.abc import Iterator
from threading import Event
from typing import Any

from renate.jobs.directory import JobDirectory, Json, in_words

from ..progress import Progress
from .failures import failure, lacks_machine
from .home import Home
from .service import RUNNING, Service

FIRST, GROWTH = 0.2, 1.1  # seconds between two looks; then ever more, up to backend.poll
ASK = 2.0  # seconds between two questions to the service itself, at least
PHASES = {
    "Starting": "waiting for machines",
    "Downloading": "downloading the image and the data",
    "Interrupted": "the machine was taken away; waiting for another",
    "Restarting": "restarting after an internal error of the service",
    "Stopping": "stopping",
}


class Follower:
    """Follows one submission.

    Args:
        service: Asked how the training job is.
        home: The job's folder in S3.
        name: The training job's.
        poll: Seconds between two looks, at most.
        closing: Set once nobody listens any more.
    """

    def __init__(self, service: Service, home: Home, name: str, poll: float, closing: Event) -> None:
        self.service, self.home, self.name, self.poll, self.closing = service, home, name, poll, closing
        self.seen, self.asked, self.phase = 0, 0.0, ""
        self.job: Any = None

    def events(self) -> Iterator[Json]:
        """Yield what the job reports, and what the service says of it as events `phase`; at last one event `end`."""
        pause = FIRST
        while not self.closing.is_set():
            ended = self._look()
            result = self.home.result(self.name)
            before = self.seen
            yield from self._new()  # all of it: reports are written before the result is
            if self.phase != self._phase():
                self.phase = self._phase()
                if self.phase in PHASES:
                    yield {"event": "phase", "text": PHASES[self.phase]}
            if result is not None or ended:
                yield {"event": "end", "result": result or self._without_result()}
                return
            pause = FIRST if self.seen > before else min(pause * GROWTH, self.poll)
            self.closing.wait(pause)

    def _new(self) -> Iterator[Json]:
        while (batch := self.home.reports(self.name, self.seen + 1)) is not None:
            self.seen += 1
            yield from batch

    def _look(self) -> bool:
        """Whether the training job was over, before S3 is read for the last time."""
        if time.monotonic() - self.asked < min(ASK, self.poll):
            return False
        if self.job is None:
            self.job = self.service.job(self.name)
        else:
            self.service.refresh(self.job)
        self.asked = time.monotonic()
        return self.job is None or self.job.training_job_status not in RUNNING

    def _phase(self) -> str:
        return str(self.job.secondary_status) if self.job is not None else ""

    def _without_result(self) -> Json:
        """The end of a job that left none: it never began, or was stopped."""
        job, capacity = self.job, False
        if job is None:
            error = f"there is no training job {self.name} any more"
        elif job.training_job_status == "Failed":
            facts = {
                "home": self.home.url,
                "region": self.service.region,
                "role": job.role_arn,
                "image": job.algorithm_specification.training_image,
                "instance_type": job.resource_config.instance_type,
            }
            error, capacity = failure(str(job.failure_reason), facts), lacks_machine(str(job.failure_reason))
        elif job.secondary_status == "MaxRuntimeExceeded":
            limit = job.stopping_condition.max_runtime_in_seconds
            error = f"backend.max_run={limit}: the time is over; the same command goes on from the last checkpoint"
        elif job.secondary_status == "MaxWaitTimeExceeded":
            limit = job.stopping_condition.max_wait_time_in_seconds
            error = f"backend.max_wait={limit}: no spare machine for long enough; a larger one, or backend.spot=false"
        elif job.training_job_status == "Stopped":
            error = "it was stopped; the same command goes on from its last checkpoint"
        else:
            error = f"it is {job.training_job_status} without a result"
        none: Json = {"value": None, "metrics": {}, "version": None}
        return {"status": "failed", "error": f"{error} ({self.name})", "capacity": capacity} | none


def write_down(directory: JobDirectory, event: Json) -> Iterator[Json]:
    """Keep in the local directory what a local job would have written there, and yield what is news.

    A machine that was taken away may have kept reports to itself: those that its successor remembers are news too.
    """
    if event["event"] == "log":
        with (directory.path / "log.txt").open("a") as log:
            log.write(event["text"])
    elif event["event"] == "resumed":
        known = {_which(report) for report in directory.reports()}
        directory.recall(event["reports"])  # what came after them will be reported again
        yield from (_as_event(report) for report in event["reports"] if _which(report) not in known)
        return
    elif event["event"] == "report" and "metrics" in event:
        update, metrics = event.get("update") or "", event["metrics"]
        line = {"time": event["time"], **({"update": update} if update else {}), **metrics}
        # What lies beyond is of a try that was interrupted.
        kept = [r for r in directory.reports() if r.get("update", "") != update or r["step"] < metrics["step"]]
        directory.recall([*kept, line])
    yield event


def _which(report: Json) -> tuple[str, int]:
    return report.get("update", ""), report["step"]


def _as_event(report: Json) -> Json:
    metrics, update = {k: v for k, v in report.items() if k not in ("time", "update")}, report.get("update", "")
    text = in_words(update, metrics)
    return {"event": "report", "time": report["time"], "text": text, "update": update, "metrics": metrics}


def show(progress: Progress, name: str, event: Json) -> None:
    """What the terminal says of a job's event."""
    if event["event"] == "phase":
        progress.line(f"{name}: {event['text']}" if progress.many else event["text"])
    elif event["event"] == "log" and not progress.many:
        for line in event["text"].splitlines():
            progress.line(line)
    elif event["event"] in ("report", "progress"):
        progress.event(name, event)
