"""Events for programs: one JSON object a line, on standard output; docs/how_to/report.md lists
them.
"""

import json
import sys
import threading
from typing import Any

from renate.jobs.directory import strict
from renate.jobs.records import PROGRESS, REPORT, Event, JobResult
from renate.tuning.trial import Trial


class JsonLines:
    """Writes events, from any thread; each is there at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def write(self, event: str, **content: Any) -> None:
        """Write an event; what is None is left out, and a number that is none is null."""
        known = {key: value for key, value in content.items() if value is not None}
        text = json.dumps(strict({"event": event} | known), allow_nan=False, default=str)
        with self.lock:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def event(self, job: str, event: Event) -> None:
        """Write what a job reports about itself; of other kinds nothing."""
        if event.kind == PROGRESS:
            self.write(
                PROGRESS, job=job, done=event.done, total=event.total, text=event.text or None
            )
        elif event.kind == REPORT:
            self.write(
                REPORT,
                job=job,
                update=event.update or None,
                metrics=event.metrics,
                text=event.text or None,
            )

    def trial(self, trial: Trial) -> None:
        """Write that a trial has begun, or has ended."""
        self.write(
            "trial",
            trial=trial.id,
            status=trial.status,
            config=trial.config,
            step=trial.step,
            value=trial.value,
            twin=trial.twin,
            error=trial.error,
        )

    def result(self, name: str, folder: object, result: JobResult) -> None:
        """Write what a job, or a sweep, came to."""
        self.write("result", job=name, directory=str(folder), **result.to_json())
