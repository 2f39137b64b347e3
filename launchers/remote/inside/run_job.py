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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from renate.errors import JobError, RenateError
from renate.files import Tail
from renate.jobs.directory import JobDirectory
from renate.jobs.passed_objects import ELSEWHERE
from renate.jobs.records import DONE, LOG, PROGRESS, REPORT, RESUMED, Event, JobResult
from renate.jobs.running.torchrun import Group, meaning, processes_of
from renate.state.store import open_store

from ...local.machine import cores, visible_gpus
from ...local.worker import GroupWorker
from .outbox import Outbox, home_of

PORT = 7777
FOUND_WITHIN = 600.0  # seconds until the first host's name must mean something
PASSED_ON = (REPORT, PROGRESS, RESUMED)


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
        told = JobDirectory(given.channel)
        given.directory.mkdir(parents=True, exist_ok=True)
        directory = JobDirectory(given.directory)
        config = (given.channel / "config.yaml").read_text()
        # What an interrupted run left goes on: its checkpoint, its reports.
        directory.prepare(config, replace(told.record, cwd=str(Path.cwd())), resume=True)
        count = processes_of(yaml.safe_load(config), len(visible_gpus()))
        names = given.hosts.split(",")
        group = Group(count, len(names), given.host, names[0], given.port, given.interface)
        if group.hosts > 1:
            wait_for_name(group.master)

        outbox = None
        if given.host == 0:
            outbox = Outbox(open_store(home_of(told)), given.run)

        return supervise(directory, group, outbox)
    except RenateError as error:
        print(f"renate: {error}", flush=True)
        return 1


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
    logs = Logs(directory.path)
    told = []
    put = outbox.put if outbox is not None else lambda event: None

    def tell(number: int, frame: object) -> None:
        told.append(number)
        worker.tell_to_end()

    signal.signal(signal.SIGTERM, tell)
    worker.send({"path": str(directory.path), "threads": cores(), "environment": dict(os.environ)})
    assert worker.process is not None

    with suppress(EOFError):  # all have ended
        for event in worker.events(None, None):
            logs.pass_on(put)
            if event is None:
                continue
            if event.kind == REPORT:
                print(event.text, flush=True)  # for whoever reads the machine's own log
            if event.kind in PASSED_ON:
                put(event)
            if outbox is not None and event.kind == DONE:
                outbox.close(directory.result)  # before the processes end, which takes them a while

    code = worker.process.wait()
    why = worker.kill()
    logs.pass_on(put)
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


class Logs:
    """The logs in a job's directory, as they grow: all go to our output, the first process's to
    the reports too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tails: dict[Path, Tail] = {}
        self.text = codecs.getincrementaldecoder("utf-8")("replace")

    def pass_on(self, put: Callable[[Event], None]) -> None:
        """Pass on what was written since the last call; `put` takes the first process's as
        events.
        """
        for path in sorted([*self.folder.glob("log*.txt"), *self.folder.glob("torchrun.txt")]):
            new = self.tails.setdefault(path, Tail(path)).read()
            if not new:
                continue

            sys.stdout.buffer.write(new)
            sys.stdout.buffer.flush()
            if path.name == "log.txt":
                put(Event(LOG, self.text.decode(new)))


if __name__ == "__main__":
    sys.exit(main())
