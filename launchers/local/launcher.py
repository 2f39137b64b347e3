"""Jobs on this machine, in worker processes that stay warm between jobs."""

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from renate.files import Tail
from renate.jobs.records import DONE, REPORT, JobResult
from renate.jobs.running.torchrun import Group, processes_of

from ..base import ComposedJob
from ..composing.checks.kinds import COUNT, Number, Setting, check_kinds
from ..composing.interruptions import at_exit
from ..composing.launcher import HydraLauncher
from .machine import cores, deal_gpus, visible_gpus
from .worker import GRACE, KEEPING, PARKED, GroupWorker, Worker, take_parked

SETTINGS: dict[str, Setting] = {
    "workers": COUNT,
    "gpus_per_job": Number(0, whole=True, optional=True),
    "heartbeat": Number(above=True, optional=True),
    "timeout": Number(above=True, optional=True),
    "price_per_hour": Number(optional=True),
}


class LocalLauncher(HydraLauncher):
    """Hands jobs to `backend.workers` warm workers; cores and GPUs are dealt out over them."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's verb: the launcher exists, and is told what for."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        if self._stands_in(config):
            local = self.composer.schema.option("backend/local")[0]
            self.backend = OmegaConf.create(local | {"workers": self.backend.workers})
            self.latest = False

        check_kinds(self.backend, SETTINGS)
        self.slots = self.backend.workers
        self.timeout = self.backend.timeout
        self.gpus = deal_gpus(self.slots, self.backend.gpus_per_job)
        self.pool = ThreadPoolExecutor(self.slots)
        self.idle: list[Worker] = []
        self.all: list[Worker | GroupWorker] = []
        self.free = list(range(self.slots))
        self.lock = threading.Lock()
        self.closed = False
        at_exit(self.close)

    def _stands_in(self, config: DictConfig) -> bool:
        """Whether another backend's job is what this launcher runs in:
        `hydra/launcher=renate_local`.
        """
        by_name = config.hydra.runtime.choices.get("hydra/launcher") == "renate_local"
        return by_name and self.name != "local"

    def check(self, job: ComposedJob) -> None:
        """A count of processes that can't be had is an error before any job starts."""
        processes_of(job.config, self._gpus_of(0))

    def expect(self, job: ComposedJob, jobs: int) -> None:
        """Start workers for the jobs that follow."""
        if processes_of(job.config, self._gpus_of(0)) > 1:
            return
        with self._hiring():
            wanted = min(jobs - len(self.idle), len(self.free))
            self.idle += [self._hire() for _ in range(wanted)]

    def submit(self, job: ComposedJob) -> Future[JobResult]:
        """Run a prepared job as soon as a worker is free."""
        return self.pool.submit(self._run, job)

    def stop(self, job: ComposedJob) -> None:
        """Ask a job to end at its next report."""
        job.directory.stop()

    def close(self) -> None:
        """End all workers; those that run a job get time to keep what it reached."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        with self.lock:
            self.closed = True
            workers = self.all
            self.all = []
            self.idle = []

        for worker in workers:
            worker.kill(KEEPING)

    def release(self) -> None:
        """Leave idle workers to this process's next launcher."""
        with self.lock:
            PARKED.extend(self.idle)
            self.all = [worker for worker in self.all if worker not in self.idle]
            self.idle = []
        self.close()

    def _gpus_of(self, slot: int) -> int:
        mine = self.gpus[slot].get("CUDA_VISIBLE_DEVICES")
        if mine is None:
            return len(visible_gpus())
        return len(mine.split(","))

    @contextmanager
    def _hiring(self) -> Iterator[None]:
        with self.lock:
            # In the moment that a job took to get here: whom it hired, nobody would end.
            if self.closed:
                raise EOFError
            yield

    def _group(self, count: int) -> GroupWorker:
        """Processes for one job, in the place of a worker."""
        with self._hiring():
            if self.free:
                slot = self.free.pop(0)
            else:
                worker = self.idle.pop()
                self.all.remove(worker)
                worker.kill()
                slot = worker.slot

            group = GroupWorker(
                slot, Group(count, interface="lo" if sys.platform == "linux" else None)
            )
            self.all.append(group)
            return group

    def _worker(self) -> Worker:
        with self._hiring():
            if self.idle:
                return self.idle.pop()
            return self._hire()

    def _hire(self) -> Worker:
        slot = self.free.pop(0)
        worker = take_parked(slot, self.gpus[slot]) or Worker(slot, self.gpus[slot])
        self.all.append(worker)
        return worker

    def _run(self, job: ComposedJob) -> JobResult:
        count = processes_of(job.config, self._gpus_of(0))
        worker = self._worker() if count == 1 else self._group(count)
        threads = max(1, cores() // self.slots)
        environment = dict(os.environ) | self.gpus[worker.slot]

        try:
            worker.send(
                {"path": str(job.directory.path), "threads": threads, "environment": environment}
            )
            self._follow(worker, job)
            result = job.directory.result
            self._give_back(worker)
        except TimeoutError as error:
            result = self._bury(worker, job, str(error))
        except (EOFError, OSError):
            result = self._bury(worker, job, None)

        if result is None:
            result = JobResult.failure("the worker left no result")
        if not self.closed:
            self.progress.ended(job.name, result)

        return result

    def _give_back(self, worker: Worker | GroupWorker) -> None:
        if isinstance(worker, GroupWorker):
            worker.finish()

        with self.lock:
            if isinstance(worker, Worker):
                self.idle.append(worker)
            elif worker in self.all:
                self.all.remove(worker)
                self.free.append(worker.slot)

    def _follow(self, worker: Worker | GroupWorker, job: ComposedJob) -> None:
        log = Tail(job.directory.path / "log.txt")
        for event in worker.events(self.timeout, self.backend.heartbeat):
            if not self.progress.many:
                self._show(log)
            if event is not None and event.kind == DONE:
                if not self.progress.many:
                    self._show(log)
                return

            if event is not None:
                self.progress.event(job.name, event)
                if event.kind == REPORT and event.metrics:
                    self.listener(job, event.row)

    def _show(self, log: Tail) -> None:
        """Pass on what the job has printed, whole lines at a time."""
        for line in log.lines():
            self.progress.line(line)

    def _bury(
        self, worker: Worker | GroupWorker, job: ComposedJob, reason: str | None
    ) -> JobResult:
        """A worker has died, or must for a reason: its job has failed, and the slot is free for
        a new one.
        """
        ended = worker.kill(KEEPING if self.closed else GRACE)
        with self.lock:
            if worker in self.all:
                self.all.remove(worker)
            self.free.append(worker.slot)

        if self.closed:
            reason = "interrupted"

        told = None
        if isinstance(worker, GroupWorker) and reason is None:
            told = job.directory.result

        result = told or JobResult.failure(reason or ended)
        if not self.closed:  # an interrupted job isn't a failed one: the same command runs it
            job.directory.finish(result)

        return result
