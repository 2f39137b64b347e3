"""What runs jobs on this machine: warm workers, and groups of processes that run one job
together.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from renate.jobs.directory import JobDirectory, Json
from renate.jobs.records import Event
from renate.jobs.running.torchrun import Group, cause, meaning

from ..composing.interruptions import at_exit
from .wire import Wire

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
# The same where what was reached is to be kept: the step ends, each process writes its checkpoint,
# all end in order. Torch's elastic run kills after 30 by itself.
KEEPING = 40.0
# Seconds that torch's elastic run gets to end the other processes, and to say which one died first.
DIAGNOSIS = 40.0
# Idle OpenMP threads sleep instead of spinning: beside another busy process a small model's step is
# 40 times as fast.
QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
PARKED: list["Worker"] = []  # warm workers that this process's next launcher may take over


class Worker:
    """A process that has imported torch and Lightning once and takes job after job.

    Not `multiprocessing`: that would import the caller's `__main__` again, which scripts without a
    guard and notebooks don't survive.
    """

    def __init__(self, slot: int, gpus: dict[str, str]) -> None:
        self.slot = slot
        self.gpus = gpus
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "renate.jobs", "--serve", str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[write],
            env=QUIET_THREADS | os.environ | gpus,
            start_new_session=True,  # Ctrl-C is the launcher's business
        )
        os.close(write)
        self.wire = Wire([read], lambda: True)

    def send(self, order: Json) -> None:
        """Have it run a job: its path, its threads, its environment."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def events(self, timeout: float | None, heartbeat: float | None) -> Iterator[Event | None]:
        """See `Wire.events`."""
        return self.wire.events(timeout, heartbeat)

    def kill(self, grace: float = GRACE) -> str:
        """End the process and all that it started; returns what it ended with."""
        ask_to_end(self.process)
        code = end(self.process, grace)
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.wire.close()
        return f"the worker process ended with {meaning(code)}"


def park() -> None:
    """See to a worker for a launcher that is still to come: it imports while this process
    composes.
    """
    if not any(worker.process.poll() is None for worker in PARKED):
        PARKED.append(Worker(0, {}))


def take_parked(slot: int, gpus: dict[str, str]) -> Worker | None:
    """A parked worker that sees these GPUs, if there is one alive."""
    for worker in [*PARKED]:
        if worker.process.poll() is not None:
            PARKED.remove(worker)
        elif worker.gpus == gpus:
            PARKED.remove(worker)
            worker.slot = slot
            return worker
    return None


def _end_parked() -> None:
    while PARKED:
        PARKED.pop().kill()


at_exit(_end_parked)


class GroupWorker:
    """The processes on this machine that run one job, and then are gone.

    Args:
        slot: Of the launcher.
        group: What they are, and those on other hosts.
    """

    def __init__(self, slot: int, group: Group) -> None:
        self.slot = slot
        self.group = group
        count = group.processes
        self.process: subprocess.Popen[bytes] | None = None
        self.pids: list[int] = []
        self.told = False
        self.pipes = Path(tempfile.mkdtemp(prefix="renate-"))
        for rank in range(count):
            os.mkfifo(self.pipes / str(rank))

        opened = [
            os.open(self.pipes / str(rank), os.O_RDONLY | os.O_NONBLOCK) for rank in range(count)
        ]
        self.wire = Wire(opened, lambda: self.process is not None and self.process.poll() is None)

    def send(self, order: Json) -> None:
        """Start the processes on a job: its path, their threads, their environment."""
        self.directory = JobDirectory(Path(order["path"]))
        environment = (
            self.group.environment(order["threads"]) | QUIET_THREADS | order["environment"]
        )

        with (self.directory.path / "torchrun.txt").open("wb") as log:
            self.process = subprocess.Popen(
                self.group.command(self.directory.path, str(self.pipes)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory.record.cwd,
                env=environment,
                start_new_session=True,
            )

    def events(self, timeout: float | None, heartbeat: float | None) -> Iterator[Event | None]:
        """See `Wire.events`."""
        try:
            for event in self.wire.events(timeout, heartbeat):
                if event is not None and event.pid is not None:
                    self.pids.append(event.pid)
                yield event
        except EOFError:
            self._wait(DIAGNOSIS)
            raise

    def _wait(self, grace: float) -> None:
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)

    def tell_to_end(self) -> None:
        """Ask the processes to leave a checkpoint and end: once, since twice ends torch's
        elastic run before them.
        """
        if self.process is not None and not self.told:
            self.told = True
            ask_to_end(self.process)

    def finish(self) -> None:
        """The job is done: let its processes end by themselves."""
        self._wait(GRACE)
        self.kill()

    def kill(self, grace: float = GRACE) -> str:
        """End every process; returns what they ended with."""
        if self.process is None:
            code = 1
            log = ""
        else:
            self.tell_to_end()
            code = end(self.process, grace)
            for pid in self.pids:  # torch's elastic run gave each a session of its own
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)

            log = (self.directory.path / "torchrun.txt").read_text(errors="replace")

        self.wire.close()
        shutil.rmtree(self.pipes, ignore_errors=True)
        return cause(self.directory, log, code)


def ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to a process and its group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


def end(process: subprocess.Popen[bytes], grace: float) -> int:
    """Wait for the end of a process that was asked, then make one; returns its exit code."""
    try:
        return process.wait(grace)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()
