"""What a launcher on this machine starts: warm workers, and the processes of a job that has
several.

A warm worker imports torch and Lightning once, then runs job after job as its launcher asks.
"""

import atexit
import contextlib
import gc
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renate.libraries.torch import load_dynamo_on_demand
from renate.libraries.torchmetrics import without_unused_imports

if TYPE_CHECKING:
    from renate.jobs.records import JobResult

Order = dict[str, Any]


def serve(events: int) -> None:
    """Read orders, one JSON object per line, from standard input; write events to the file
    descriptor `events`.

    Ends when standard input does: a worker never outlives its launcher.
    """
    lock = threading.Lock()
    orders = _Orders()

    def emit(event: Order) -> None:
        with lock:
            os.write(events, json.dumps(event).encode() + b"\n")

    with _beating(emit), without_unused_imports():  # the imports take seconds
        load_dynamo_on_demand()

        from renate.jobs.directory import JobDirectory
        from renate.jobs.running.execute import execute
        from renate.jobs.running.process import Baseline

        baseline = Baseline()

    gc.freeze()  # what was imported stays: no collection need look through it again

    while (order := orders.next()) is not None:
        path = Path(order["path"])
        baseline.restore(JobDirectory(path).record.cwd, order["environment"], order["threads"])
        with _beating(emit), _logging(path / "log.txt"):
            execute(path, emit)
        emit({"event": "done"})


def attend(path: Path, wires: Path) -> "JobResult":
    """Run a job directory as one of several processes of this machine; events go to the named pipe
    `wires/<number>`.

    Ends when its launcher does, which reads the pipe, or torch's elastic run, which started it.
    """
    rank = int(os.environ["RANK"])
    local = os.environ["LOCAL_RANK"]
    parent = os.getppid()
    lock = threading.Lock()
    pipe = -1
    with contextlib.suppress(OSError):  # the launcher is gone
        pipe = os.open(wires / local, os.O_WRONLY | os.O_NONBLOCK)
        os.set_blocking(pipe, True)

    def emit(event: Order) -> None:
        with lock:
            try:
                os.write(pipe, json.dumps(event).encode() + b"\n")
            except OSError:
                os._exit(1)
        if os.getppid() != parent:
            os._exit(1)

    emit({"event": "started", "pid": os.getpid()})
    try:
        with _beating(emit), _logging(path / (f"log-{rank}.txt" if rank else "log.txt")):
            with without_unused_imports():
                load_dynamo_on_demand()

                from renate.jobs.running.execute import execute
                from renate.ranks import Ranks

            result = execute(
                path, emit if rank == 0 else lambda event: None, Ranks.from_environment()
            )

        emit({"event": "done" if rank == 0 and not result.lost else "ended"})
        return result
    finally:
        os.close(pipe)  # the interpreter may need a while to end, without any sign of life


@contextmanager
def leaving() -> Iterator[None]:
    """End the process with what is done here, without taking the interpreter apart.

    Threads of gloo and autograd are still there then, and now and then the process aborts
    ("terminate called without an active exception"): torch's elastic run would call a job failed
    that is published.
    """
    try:
        yield
        code: object = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1

    if isinstance(code, str):
        print(code, file=sys.stderr)

    atexit._run_exitfuncs()  # loggers may send their last words here
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


@contextmanager
def _logging(file: Path) -> Iterator[None]:
    """Whatever is printed goes to a file."""
    with file.open("a", buffering=1) as log:
        before = (os.dup(1), os.dup(2))
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, copy in enumerate(before, 1):
                os.dup2(copy, target)
                os.close(copy)


@contextmanager
def _beating(emit: Callable[[Order], None]) -> Iterator[None]:
    """Give a sign of life each second: a process that is frozen, or stuck in code that never
    yields, gives none.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(1.0):
            emit({"event": "alive"})

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()

    try:
        yield
    finally:
        over.set()
        thread.join()


class _Orders:
    """Standard input, read by a thread that ends the process, whatever it is doing, once the
    launcher is gone.
    """

    def __init__(self) -> None:
        self.waiting: list[Order] = []
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        rest = b""
        # Not sys.stdin: its lock, held here, would block the interpreter's end
        while chunk := os.read(0, 1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            with self.changed:
                self.waiting += [json.loads(line) for line in lines]
                self.changed.notify()

        os._exit(0)

    def next(self) -> Order:
        with self.changed:
            self.changed.wait_for(lambda: self.waiting)
            return self.waiting.pop(0)
