"""Jobs on this machine, in worker processes that stay warm between jobs."""

import atexit
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from renate.errors import ConfigError
from renate.jobs.directory import Json

from .base import RenateLauncher, cores
from .compose import Job

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
# Idle OpenMP threads sleep instead of spinning: beside another busy process a small model's step is 40 times as fast.
QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
PARKED: list["Worker"] = []  # warm workers that the process's next launcher may take over


@atexit.register
def _end_parked() -> None:
    while PARKED:
        PARKED.pop().kill()


class Worker:
    """A process that has imported torch and Lightning once and takes job after job.

    Not `multiprocessing`: that would import the caller's `__main__` again, which scripts without a guard and
    notebooks don't survive.
    """

    def __init__(self, slot: int, gpus: dict[str, str]) -> None:
        self.slot, self.gpus = slot, gpus
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
        self.read, self.buffer = read, b""

    def send(self, order: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def events(self, timeout: float | None, heartbeat: float | None) -> Iterator[Json | None]:
        """Yield what the worker reports, and None whenever it has been silent for a moment.

        Raises:
            EOFError: The worker died.
            TimeoutError: It took too long, or gave no sign of life for too long; the text says which.
        """
        began = heard = time.monotonic()
        while True:
            ready, _, _ = select.select([self.read], [], [], 0.2)
            now = time.monotonic()
            if timeout is not None and now - began > timeout:
                raise TimeoutError(f"stopped after backend.timeout={timeout} seconds")
            if not ready:
                if heartbeat is not None and now - heard > heartbeat:
                    raise TimeoutError(f"no sign of life for backend.heartbeat={heartbeat} seconds")
                yield None
                continue
            heard = now
            chunk = os.read(self.read, 1 << 16)
            if not chunk:
                raise EOFError
            *lines, self.buffer = (self.buffer + chunk).split(b"\n")
            yield from (json.loads(line) for line in lines)

    def kill(self) -> int:
        """End the process and all that it started; returns its exit code."""
        for sign, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(patience)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        code = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.read >= 0:
            os.close(self.read)
            self.read = -1
        return code


class LocalLauncher(RenateLauncher):
    """Hands jobs to `backend.workers` warm workers; cores and GPUs are dealt out over them."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.slots, self.timeout = int(self.backend.workers), self.backend.timeout
        if self.slots < 1:
            raise ConfigError(f"backend.workers={self.slots}: expected 1 or more")
        self.gpus = deal_gpus(self.slots, self.backend.gpus_per_job)
        self.pool = ThreadPoolExecutor(self.slots)
        self.idle: list[Worker] = []
        self.all: list[Worker] = []
        self.free = list(range(self.slots))
        self.lock = threading.Lock()
        self.closed = False
        atexit.register(self.close)

    def submit(self, job: Job) -> Future[Json]:
        return self.pool.submit(self._run, job)

    def stop(self, job: Job) -> None:
        job.directory.stop()

    def close(self) -> None:
        self.closed = True
        self.pool.shutdown(wait=False, cancel_futures=True)
        with self.lock:
            workers, self.all, self.idle = self.all, [], []
        for worker in workers:
            worker.kill()

    def release(self) -> None:
        with self.lock:
            PARKED.extend(self.idle)
            self.all = [worker for worker in self.all if worker not in self.idle]
            self.idle = []
        self.close()

    def _worker(self) -> Worker:
        with self.lock:
            if self.idle:
                return self.idle.pop()
            slot = self.free.pop(0)
            parked = [w for w in PARKED if w.process.poll() is None and w.gpus == self.gpus[slot]]
            if parked:
                worker = parked[0]
                PARKED.remove(worker)
                worker.slot = slot
            else:
                worker = Worker(slot, self.gpus[slot])
            self.all.append(worker)
            return worker

    def _run(self, job: Job) -> Json:
        worker = self._worker()
        threads = max(1, cores() // self.slots)
        environment = dict(os.environ) | self.gpus[worker.slot]
        try:
            worker.send({"path": str(job.directory.path), "threads": threads, "environment": environment})
            self._follow(worker, job)
            result: Json | None = job.directory.result
            with self.lock:
                self.idle.append(worker)
        except TimeoutError as error:
            result = self._bury(worker, job, str(error))
        except (EOFError, OSError):
            result = self._bury(worker, job, None)
        if result is None:
            result = {"status": "failed", "error": "the worker left no result", "value": None}
        if not self.closed:
            self.progress.ended(job.name, result)
        return result

    def _follow(self, worker: Worker, job: Job) -> None:
        log, shown = job.directory.path / "log.txt", 0
        for event in worker.events(self.timeout, self.backend.heartbeat):
            if not self.progress.many:
                shown += self._show_log(log, shown)
            if event is not None and event["event"] == "done":
                if not self.progress.many:
                    self._show_log(log, shown)
                return
            if event is not None:
                self.progress.event(job.name, event)
                if event["event"] == "report" and event.get("metrics"):
                    self.listener(job, {"update": event["update"]} | event["metrics"])

    def _show_log(self, log: Path, shown: int) -> int:
        """Pass on what the job printed, whole lines at a time; returns the bytes shown."""
        try:
            with log.open("rb") as file:
                file.seek(shown)
                new = file.read()
        except FileNotFoundError:
            return 0
        new = new[: new.rfind(b"\n") + 1]
        for line in new.decode(errors="replace").splitlines():
            self.progress.line(line)
        return len(new)

    def _bury(self, worker: Worker, job: Job, reason: str | None) -> Json:
        """A worker has died, or must for a reason: its job has failed, and the slot is free for a new one."""
        code = worker.kill()
        with self.lock:
            if worker in self.all:
                self.all.remove(worker)
            self.free.append(worker.slot)
        if self.closed:
            reason = "interrupted"
        error = reason or f"the worker process ended with {_meaning(code)}"
        result = {"status": "failed", "error": error, "value": None}
        if not self.closed:  # an interrupted job isn't a failed one: the same command runs it
            job.directory.finish(result)
        return result


def _meaning(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    hint = ": out of memory?" if -code == signal.SIGKILL else ""
    return f"signal {signal.Signals(-code).name}{hint}"


def deal_gpus(workers: int, per_job: int | None) -> list[dict[str, str]]:
    """Return the environment that gives each worker its share of the GPUs.

    Raises:
        ConfigError: There are fewer than `workers × per_job`.
    """
    if per_job is None and workers == 1:
        return [{}]
    found = visible_gpus()
    if per_job is not None and per_job * workers > len(found):
        raise ConfigError(
            f"backend.gpus_per_job={per_job} with backend.workers={workers} needs {per_job * workers} GPUs, "
            f"this machine has {len(found)}"
        )
    if not found:
        return [{}] * workers
    share = per_job if per_job is not None else max(1, len(found) // workers)
    dealt: list[dict[str, str]] = []
    for slot in range(workers):
        mine = [found[(slot * share + k) % len(found)] for k in range(share)]
        dealt.append({"CUDA_VISIBLE_DEVICES": ",".join(mine)})
    return dealt


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use, without importing torch."""
    named: Any = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu for gpu in named.split(",") if gpu]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]
