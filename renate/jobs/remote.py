"""`python -m renate.jobs.remote CHANNEL DIR RUN`: a job on a machine of a cloud, its reports and its end kept at a URL.

CHANNEL is a folder with the job's `config.yaml` and `job.json`, whose `home` is the URL; DIR is where it runs, and may
hold what an interrupted run left; RUN names this submission. What happens goes to `<home>/<RUN>/reports/<n>.json`, a
list of events per object, and at last to `<home>/<RUN>/result.json`.
"""

import codecs
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renate.errors import StateError
from renate.jobs.directory import JobDirectory, Json, read_json
from renate.state.store import Store, open_store

PERIOD = 1.0  # seconds between two objects of reports, at least
LONGEST = 1 << 20  # bytes of log in one object
STOPPED = 128 + signal.SIGTERM
QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}  # see launchers/local.py


def report_key(run: str, number: int) -> str:
    return f"{run}/reports/{number:08d}.json"


def result_key(run: str) -> str:
    return f"{run}/result.json"


class Outbox:
    """Writes events in order, as numbered objects, from a thread of its own: the job never waits for the store.

    Args:
        store: The job's home.
        run: The submission; a restarted one goes on with its numbers.
    """

    def __init__(self, store: Store, run: str) -> None:
        self.store, self.run = store, run
        self.number = len(store.list(f"{run}/reports"))
        self.waiting: list[Json] = []
        self.changed, self.closing = threading.Condition(), threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def put(self, event: Json) -> None:
        event = {"time": round(time.time(), 3), **event}
        with self.changed:
            if event["event"] == "progress":  # only the last one matters
                self.waiting = [e for e in self.waiting if e["event"] != "progress"]
            self.waiting.append(event)
            self.changed.notify()

    def _work(self) -> None:
        while not self.closing.is_set():
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.closing.is_set())
            self._flush()
            self.closing.wait(PERIOD)

    def _flush(self) -> None:
        with self.changed:
            batch, self.waiting = self.waiting, []
        if not batch:
            return
        try:
            self.store.put(report_key(self.run, self.number + 1), json.dumps(batch).encode())
            self.number += 1
        except StateError as error:  # the job goes on, and the next try may succeed
            print(f"renate: reports wait: {error}", file=sys.stderr, flush=True)
            with self.changed:
                self.waiting = batch + self.waiting

    def close(self, result: Json | None) -> None:
        """Write what is left, then the result, if the job has one: who reads it knows that nothing more follows."""
        self.closing.set()
        with self.changed:
            self.changed.notify()
        self.thread.join()
        self._flush()
        if result is not None:
            self.store.put(result_key(self.run), json.dumps(result).encode())


def run(channel: Path, directory: JobDirectory, name: str) -> int:
    """Run the job to its end, or until this process is told to end; returns the exit code."""
    record: Json = read_json(channel / "job.json") or {}
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.prepare((channel / "config.yaml").read_text(), record | {"cwd": str(Path.cwd())}, resume=True)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))  # the job itself gets it too, and decides
    with _started([sys.executable, "-m", "renate.jobs", str(directory.path)]) as (process, events):
        outbox = Outbox(open_store(record["home"]), name)
        readers = [
            threading.Thread(target=_pass_on, args=(outbox, events)),
            threading.Thread(target=_copy, args=(outbox, process.stdout, directory.path / "log.txt")),
        ]
        for reader in readers:
            reader.start()
        code = process.wait()
        for reader in readers:
            reader.join()
    result = directory.result
    if result is None and not told and code != STOPPED:
        why = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        hint = ": out of memory?" if code == -signal.SIGKILL else ""
        result = {"status": "failed", "error": f"the job's process ended with {why}{hint}", "value": None}
        directory.finish(result)
    outbox.close(result)
    if result is not None and result["status"] == "failed":
        print(f"renate: {result['error']}", flush=True)
    return code if code >= 0 else 128 - code


@contextmanager
def _started(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start the job with a pipe for its events; its output comes by another."""
    read, write = os.pipe()
    with subprocess.Popen(
        [*command, "--events", str(write)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[write],
        env=QUIET_THREADS | os.environ,
    ) as process:
        os.close(write)
        try:
            yield process, read
        finally:
            os.close(read)


def _pass_on(outbox: Outbox, events: int) -> None:
    with os.fdopen(events, "rb", closefd=False) as lines:
        for line in lines:
            event = json.loads(line)
            if event["event"] == "report":
                print(event["text"], flush=True)  # for whoever reads the machine's own log
            outbox.put(event)


def _copy(outbox: Outbox, output: Any, log: Path) -> None:
    """The job's output goes on as ours, into its log, and to whoever follows it."""
    with log.open("ab", buffering=0) as file:
        text = codecs.getincrementaldecoder("utf-8")("replace")
        while chunk := output.read1(LONGEST):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            file.write(chunk)
            outbox.put({"event": "log", "text": text.decode(chunk)})


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), JobDirectory(Path(sys.argv[2])), sys.argv[3]))
