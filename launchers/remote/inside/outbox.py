"""What a job far away reports, as numbered objects in its folder.

Written there, read by whoever follows it.
"""

import json
import sys
import threading
import time
from dataclasses import replace

from renate.errors import JobError, StateError
from renate.jobs.directory import JobDirectory, strict
from renate.jobs.records import PROGRESS, Event, JobResult
from renate.state.store import Store

PERIOD = 1.0  # seconds between two objects, at least


def report_key(run: str, number: int) -> str:
    """Where a submission's events of that number lie, within the job's folder."""
    return f"{run}/reports/{number:08d}.json"


def result_key(run: str) -> str:
    """Where a submission's result lies."""
    return f"{run}/result.json"


def home_of(channel: JobDirectory) -> str:
    """The URL of the folder that a job reports to.

    Raises:
        JobError: Its `job.json` doesn't say.
    """
    home = channel.record.home
    if home is None:
        raise JobError(f"{channel.path / 'job.json'}: it lacks the key 'home'")
    return home


class Outbox:
    """Writes events in order from a thread of its own: the job never waits for the store.

    Args:
        store: The job's home.
        run: The submission; a restarted one goes on with its numbers.
    """

    def __init__(self, store: Store, run: str) -> None:
        self.store = store
        self.run = run
        self.waiting: list[Event] = []
        self.changed = threading.Condition()
        self.closing = threading.Event()
        self.number = len(store.list(f"{run}/reports"))
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def put(self, event: Event) -> None:
        """Have an event written as soon as may be."""
        if event.time is None:
            event = replace(event, time=round(time.time(), 3))

        with self.changed:
            if event.kind == PROGRESS:  # only the last one matters
                self.waiting = [other for other in self.waiting if other.kind != PROGRESS]
            self.waiting.append(event)
            self.changed.notify()

    def _work(self) -> None:
        while not self.closing.is_set():
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.closing.is_set())
            self._flush()
            self.closing.wait(PERIOD)

    def _flush(self, *, last: bool = False) -> None:
        with self.changed:
            batch = self.waiting
            self.waiting = []

        if not batch:
            return

        content = json.dumps([event.to_json() for event in batch])
        try:
            self.store.put(report_key(self.run, self.number + 1), content.encode())
            self.number += 1
        except StateError as error:
            if last:
                raise
            # The job goes on, and the next try may succeed.
            print(f"renate: reports wait: {error}", file=sys.stderr, flush=True)
            with self.changed:
                self.waiting = batch + self.waiting

    def close(self, result: JobResult | None) -> None:
        """Write what is left, then the result, if the job has one, which says that nothing more
        follows; once only.

        Raises:
            StateError: The store refuses.
        """
        if self.closing.is_set():
            return

        self.closing.set()
        with self.changed:
            self.changed.notify()

        self.thread.join()
        self._flush(last=True)
        if result is not None:
            self.store.put(result_key(self.run), json.dumps(strict(result.to_json())).encode())
