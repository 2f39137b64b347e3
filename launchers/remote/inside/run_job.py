"""A job on another machine: it runs as it would here, its reports and its end go to a URL.

    python -m renate.launchers.remote.inside.run_job CHANNEL DIR --run NAME [--hosts A,B --host 0
    --interface eth0]

CHANNEL is a folder with the job's `config.yaml` and `job.json`, whose `home` is the URL; DIR is
where it runs, and may hold what an interrupted run left; NAME is the submission's. What happens
goes to `<home>/<NAME>/reports/<n>.json`, a list of events per object, and at last to
`<home>/<NAME>/result.json`; of several hosts, the first one writes both.
"""

import argparse
import codecs
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from renate.errors import JobError, RenateError
from renate.files import Tail
from renate.jobs.directory import JobDirectory
from renate.jobs.passed_objects import ELSEWHERE
from renate.jobs.records import DONE, LOG, PROGRESS, REPORT, RESUMED, TOLD, Event, JobResult
from renate.jobs.running.torchrun import Group, meaning, processes_of
from renate.state.store import open_store

from ...local.machine import cores, visible_gpus
from ...local.worker import GroupWorker, Worker
from .outbox import Outbox, home_of

PORT = 7777
FOUND_WITHIN = 600.0  # seconds until the first host's name must mean something
FREE_WITHIN = 60.0  # seconds until processes of a run that was lost must have ended
PASSED_ON = (REPORT, PROGRESS, RESUMED, TOLD)


def main() -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("channel", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--run", required=True)
    parser.add_argument("--hosts", default="localhost")
    parser.add_argument("--host", type=int, default=0)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--interface")
    given = parser.parse_args()

    os.environ[ELSEWHERE] = str(given.channel.absolute())
    try:
        directory, count = prepared(given.channel, given.directory, Path.cwd())
        names = given.hosts.split(",")
        group = Group(count, len(names), given.host, names[0], given.port, given.interface)
        if group.hosts > 1:
            wait_for_name(group.master)

        outbox = None
        if given.host == 0:
            outbox = Outbox(open_store(home_of(JobDirectory(given.channel))), given.run)

        return supervise(directory, group, outbox)
    except RenateError as error:
        print(f"renate: {error}", flush=True)
        return 1


def prepared(channel: Path, place: Path, cwd: Path) -> tuple[JobDirectory, int]:
    """The directory of a job, in which what an interrupted run left goes on (its checkpoint, its
    reports), and how many processes it asks for here.

    Args:
        channel: The job's own files.
        place: Where it runs.
        cwd: The working directory.

    Raises:
        RenateError: What is in the channel isn't a job's.
    """
    place.mkdir(parents=True, exist_ok=True)
    directory = JobDirectory(place)
    wait_until_free(directory)
    config = (channel / "config.yaml").read_text()
    record = replace(JobDirectory(channel).record, cwd=str(cwd))
    directory.prepare(config, record, resume=True)
    return directory, processes_of(yaml.safe_load(config), len(visible_gpus()))


def wait_until_free(directory: JobDirectory) -> None:
    """Processes of a run whose machine or parent was lost notice it at their next report.

    Raises:
        JobError: They hold the directory for too long.
    """
    end = time.monotonic() + FREE_WITHIN
    while True:
        try:
            with directory.alone():
                return
        except JobError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def wait_for_name(name: str) -> None:
    """Machines of a job may learn each other's names late.

    Raises:
        JobError: It is unknown for too long.
    """
    end = time.monotonic() + FOUND_WITHIN
    while True:
        try:
            socket.gethostbyname(name)
            return
        except OSError as error:
            if time.monotonic() > end:
                raise JobError(f"{name}, the job's first host, can't be found: {error}") from error
            time.sleep(1)


def supervise(directory: JobDirectory, group: Group, outbox: Outbox | None) -> int:
    """Run this host's processes to their end, or until this one is told to end.

    Returns the exit code.
    """
    worker = GroupWorker(0, group)
    told = []

    def tell(number: int, frame: object) -> None:
        told.append(number)
        worker.tell_to_end()

    signal.signal(signal.SIGTERM, tell)
    order = {"path": str(directory.path), "threads": cores(), "environment": dict(os.environ)}
    worker.send(order)
    if told:  # while there was nobody yet to be told
        worker.tell_to_end()
    assert worker.process is not None
    logs = Logs(directory.path, outbox)
    for _ in followed(worker, directory, logs, outbox):
        pass  # to its end

    code = worker.process.wait()
    why = worker.kill()
    logs.pass_on()
    result = directory.result
    if result is None and not told:
        ended = why
        if group.alone:
            ended = f"the job's process ended with {meaning(code)}"

        result = JobResult.failure(ended)
    if outbox is not None:
        outbox.close(result)
    if result is not None and result.failed:
        print(f"renate: {result.reason}", flush=True)

    if code >= 0:
        return code
    return 128 - code


def followed(
    worker: Worker | GroupWorker, directory: JobDirectory, logs: "Logs", outbox: Outbox | None
) -> Iterator[Event]:
    """Pass on what a job reports until its processes have ended; yield each event."""
    with suppress(EOFError):  # all have ended
        for event in worker.events(None, None):
            logs.pass_on()
            if event is None:
                continue
            if event.kind == REPORT:
                print(event.text, flush=True)  # for whoever reads the machine's own log
            if outbox is not None and event.kind in PASSED_ON:
                outbox.put(event)
            if outbox is not None and event.kind == DONE:
                outbox.close(directory.result)  # before the processes end, which takes them a while
            yield event


class Logs:
    """The logs in a job's directory, as they grow: all go to our output, the first process's to
    the reports too.
    """

    def __init__(self, folder: Path, outbox: Outbox | None) -> None:
        self.folder = folder
        self.outbox = outbox
        self.tails: dict[Path, Tail] = {}
        self.text = codecs.getincrementaldecoder("utf-8")("replace")

    def pass_on(self) -> None:
        """Pass on what was written since the last call."""
        for path in sorted([*self.folder.glob("log*.txt"), *self.folder.glob("torchrun.txt")]):
            new = self.tails.setdefault(path, Tail(path)).read()
            if not new:
                continue

            sys.stdout.buffer.write(new)
            sys.stdout.buffer.flush()
            if path.name == "log.txt" and self.outbox is not None:
                self.outbox.put(Event(LOG, self.text.decode(new)))


if __name__ == "__main__":
    sys.exit(main())
