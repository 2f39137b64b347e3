"""What runs on a node: an actor that keeps a warm worker and takes job after job.

It is told of a job by bytes alone, so that it needs nothing of the machine that submits; where
nodes share no folder, the job's directory is mirrored in the object store.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from renate.errors import JobError, RenateError
from renate.jobs.directory import JobDirectory
from renate.jobs.passed_objects import ELSEWHERE
from renate.jobs.records import JobResult
from renate.jobs.running.torchrun import Group
from renate.state.store import open_store

from ..local.machine import cores
from ..local.worker import KEEPING, GroupWorker, Worker
from ..remote.code_archive import unpack
from ..remote.inside.mirror import Mirror
from ..remote.inside.outbox import Outbox, home_of
from ..remote.inside.run_job import Logs, followed, prepared

SWEEP = "renate.launchers.remote.inside.run_sweep"
SEEN_WITHIN = 10.0  # seconds until a network's folder shows what was written elsewhere


@dataclass(frozen=True)
class Task:
    """A submission, on its way to a node.

    Attributes:
        name: The submission's.
        job: Our id of the job.
        base: URL that the job's folder lies below.
        channel: The job's own files, by name.
        directory: Where it runs, on a folder that nodes share; None: on the node's own disk,
            mirrored in the job's folder.
        cwd: The working directory, which nodes see too; None: the code in `code`.
        code: The archive of its code.
        environment: Variables, on top of the node's.
        cpus: That it may use.
        sweep: Whether it is a whole sweep.
    """

    name: str
    job: str
    base: str
    channel: dict[str, bytes]
    directory: str | None
    cwd: str | None
    code: bytes | None
    environment: dict[str, str] = field(default_factory=dict)
    cpus: int = 1
    sweep: bool = False


def check_sees(task: Task) -> None:
    """Return if this node sees the folders that a task speaks of.

    Raises:
        JobError: It doesn't; to train first and find out then would be late.
    """
    keys = {"backend.working_copy=shared": task.cwd}
    if task.directory is not None:
        keys["backend.staging"] = str(Path(task.directory).parent / "job")

    end = time.monotonic() + SEEN_WITHIN
    for key, folder in keys.items():
        if folder is None:
            continue
        while not Path(folder).is_dir():
            if time.monotonic() > end:
                raise JobError(
                    f"{key}: the node {socket.gethostname()} doesn't see {folder}: where nodes "
                    "share no folder, give backend.working_copy=shipped and "
                    "backend.staging=s3://bucket/prefix"
                )
            time.sleep(0.2)


@contextmanager
def _given(environment: dict[str, str]) -> Iterator[None]:
    """Have a job's variables for its time."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


class Runner:
    """The actor's class. One job at a time; all but `run` is answered meanwhile."""

    def __init__(self) -> None:
        self.worker: Worker | None = None  # an idle one
        self.busy: Worker | GroupWorker | None = None
        self.interrupted = False
        self.task: Task | None = None
        self.since = 0.0
        self.directory: JobDirectory | None = None
        self.swept: subprocess.Popen[bytes] | None = None

    def about(self) -> tuple[str, str, str, float] | None:
        """What runs: the submission's name, our id, the base of its folder, and since when."""
        if self.task is None:
            return None
        return self.task.name, self.task.job, self.task.base, self.since

    def stop(self, name: str) -> bool:
        """Ask a job to end at its next report; whether it is the one that runs."""
        if self.task is None or self.task.name != name:
            return False
        if self.directory is not None:
            self.directory.stop()
        if self.swept is not None:
            self.swept.terminate()
        return True

    def close(self) -> None:
        """End what runs, which keeps a checkpoint first, and the warm worker."""
        self.interrupted = True
        if self.busy is not None:
            self.busy.kill(KEEPING)
        if self.swept is not None:
            self.swept.terminate()
        if self.worker is not None:
            self.worker.kill()
            self.worker = None

    def begin(self, task: Task) -> None:
        """Run a job whose command doesn't wait for it; this actor ends with it."""

        def to_its_end() -> None:
            try:
                self.run(task)
            finally:
                os._exit(0)  # nobody else holds the actor

        self.task = task
        threading.Thread(target=to_its_end).start()

    def run(self, task: Task) -> str:
        """Run a job to its end, which goes to its folder; returns why it has left no result."""
        self.task = task
        self.since = time.time()
        self.interrupted = False
        try:
            with (
                _given(task.environment),  # what opens the object store may be among them
                tempfile.TemporaryDirectory(prefix="renate-ray-") as folder,
            ):
                check_sees(task)
                return self._run(task, Path(folder))
        except RenateError as error:
            return str(error)
        finally:
            self.task = None
            self.directory = None
            self.swept = None

    def _run(self, task: Task, folder: Path) -> str:
        channel = folder / "channel"
        channel.mkdir()
        for name, content in task.channel.items():
            (channel / name).write_bytes(content)

        cwd = Path(task.cwd or folder / "code")
        if task.code is not None:
            unpack(task.code, cwd)

        directory = Path(task.directory or folder / "job")
        store = open_store(home_of(JobDirectory(channel)))
        mirror = None
        if task.directory is None:
            directory.mkdir()
            mirror = Mirror(directory, store)

        environment = os.environ | {ELSEWHERE: str(channel)}
        if task.code is not None:
            environment["PYTHONPATH"] = os.pathsep.join(
                [str(cwd), *environment.get("PYTHONPATH", "").split(os.pathsep)]
            ).rstrip(os.pathsep)

        try:
            if task.sweep:
                return self._sweep(task, channel, directory, cwd, environment)
            return self._job(task, channel, directory, cwd, environment)
        finally:
            if mirror is not None:
                mirror.close()

    def _job(
        self, task: Task, channel: Path, place: Path, cwd: Path, environment: dict[str, str]
    ) -> str:
        directory, count = prepared(channel, place, cwd)
        self.directory = directory
        outbox = Outbox(open_store(home_of(JobDirectory(channel))), task.name)
        worker = self._worker_for(task, count, environment)
        self.busy = worker
        threads = max(1, min(task.cpus, cores()) // count)
        worker.send({"path": str(place), "threads": threads, "environment": environment})

        logs = Logs(directory.path, outbox)
        done = False
        for event in followed(worker, directory, logs, outbox):
            if event.kind == "done":
                done = True
                break

        logs.pass_on()
        self.busy = None
        result = directory.result
        if not done:
            why = worker.kill()
            if result is None and not self.interrupted:
                result = JobResult.failure(why)
        elif isinstance(worker, GroupWorker):
            worker.finish()
        elif task.code is None:
            self.worker = worker
        else:
            worker.kill()  # its modules are of this job's code

        outbox.close(result)
        return "" if result is not None else "it ended without a result"

    def _worker_for(
        self, task: Task, count: int, environment: dict[str, str]
    ) -> Worker | GroupWorker:
        if count > 1:
            return GroupWorker(0, Group(count, interface="lo"))

        warm = self.worker
        self.worker = None
        if warm is not None and warm.process.poll() is None and task.code is None:
            return warm

        own = {"PYTHONPATH": environment["PYTHONPATH"]} if task.code is not None else {}
        return Worker(0, own)

    def _sweep(
        self, task: Task, channel: Path, place: Path, cwd: Path, environment: dict[str, str]
    ) -> str:
        command = [sys.executable, "-u", "-m", SWEEP, str(channel), str(place), "--run", task.name]
        self.swept = subprocess.Popen(command, cwd=cwd, env=environment)
        code = self.swept.wait()
        with suppress(FileNotFoundError):
            (place / "stop").unlink()
        return "" if code in (0, 1) else f"the sweep's process ended with {code}"
