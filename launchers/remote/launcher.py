"""Each job as a job of another machine. Start reading here.

`submit` finds everything that can be wrong; `_run`, in a thread, submits the job, or finds that
this was done earlier, and follows it through its folder in an object store.
"""

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from renate.errors import ConfigError, RenateError
from renate.jobs.identity.already import maker_of
from renate.jobs.records import REPORT, SUBMITTED, Event, JobResult
from renate.state.versions import State
from renate.tuning.base import Proposer

from ..base import ComposedJob
from ..composing.checks.backend import check_entries
from ..composing.checks.kinds import check_kinds
from ..composing.interruptions import at_exit
from ..composing.launcher import HydraLauncher
from ..sweeps.sweep_as_job import hand_over_jobs
from ..terminal.console import command
from . import code_archive
from .backend import PreparedJob, RemoteBackend
from .follow import Follower, catch_up, show, write_down
from .job_folder import JobFolder
from .job_upload import begin, pack
from .machine import SETTINGS, Machine
from .outcome.state_return import result_here
from .submission import submit_once
from .sweep import pack_sweep, returned

AHEAD = 32  # jobs that are packed before a worker is free for them


class RemoteLauncher(HydraLauncher, RemoteBackend):
    """Submits each job and follows it through its folder; `backend.workers` jobs at a time.

    Reads of its group `staging`, `wait`, `poll`, `sweep`, `workers`, `environment` and
    `price_per_hour`. A backend sets `machine` in `setup`, and writes the methods of
    `RemoteBackend`. On its machine a job is `python -m renate.launchers.remote.inside.run_job`, and
    a sweep that is one job (`sweep: inside`) is `…inside.run_sweep`, with `job/` of the job's own
    folder as CHANNEL.

    Attributes:
        machine: What jobs find where they run.
    """

    elsewhere = True
    machine: Machine

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's verb: the launcher exists, and is told what for."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        check_kinds(self.backend, SETTINGS)
        check_entries(self.backend, "environment")
        self.check_settings()
        self.whole_sweeps = self.backend.sweep == "inside"
        self.pool = ThreadPoolExecutor(int(self.backend.workers))
        self.places: threading.Semaphore | None = None  # of a grid: few wait packed for their turn
        self.running: dict[str, str] = {}  # our id -> the submission's name
        self.unwanted: set[str] = set()  # our ids of jobs that were told to end
        self.lock = threading.Lock()
        self.closing = threading.Event()
        at_exit(self.close)

    def send(self, prepared: PreparedJob) -> None:
        """Upload what a job needs, before it is created."""
        prepared.upload.upload(self.progress.line)

    def how_to(self, verb: str, name: str) -> str:
        """The command that does something with a submission, from anywhere."""
        return command([], "jobs", verb, name, "--backend", self.name)

    def run(self, jobs: Sequence[ComposedJob]) -> list[JobResult]:
        """Run jobs to their ends; several as one, where a sweep is one job."""
        if self.whole_sweeps and len({job.id for job in jobs}) > 1:
            return hand_over_jobs(self, jobs)
        self.places = threading.Semaphore(int(self.backend.workers) + AHEAD)
        try:
            return super().run(jobs)
        finally:
            self.places = None

    def finished(self, job: ComposedJob) -> JobResult | None:
        """See the base; what a job has told since its command was left is written down first."""
        if job.config.resume and job.record.already is not None:
            published = State(str(job.config.state.url)).manifest(job.record.already)
            maker = maker_of(published, job.directory.path.parent)
            heard = maker.result if maker is not None else None
            if maker is not None and (heard is None or heard.failed):
                base = begin(job, self.backend, self.machine).folder.url.rpartition("/")[0]
                catch_up(maker, JobFolder(f"{base}/{maker.path.name}"))

        return super().finished(job)

    def submit(self, job: ComposedJob) -> Future[JobResult]:
        """Start a prepared job; one of a grid once few are before it. Raises ConfigError for what
        can't be right.
        """
        prepared = self.packed(job)
        places = self.places
        if places is None:
            return self.pool.submit(self._run, prepared)

        places.acquire()
        future = self.pool.submit(self._run, prepared)
        future.add_done_callback(lambda _: places.release())
        return future

    def packed(self, job: ComposedJob) -> PreparedJob:
        """Everything that can be wrong with a job is found here; nothing is uploaded."""
        pack_job = pack_sweep if job.parts else pack
        upload = pack_job(job, self.backend, self.machine)
        return PreparedJob(job, upload, self.request_for(job, upload))

    def code_of(self, job: ComposedJob) -> bytes | None:
        """The archive of code that goes along with a job; None where jobs see the working copy
        itself.
        """
        if self.machine.shared:
            return None
        sources = self.config.hydra.runtime.config_sources
        files = code_archive.of_job(job, sources, list(self.backend.source_dirs))
        return code_archive.pack(files, self.backend.max_code_mb)[1]

    def stop(self, job: ComposedJob) -> None:
        """Ask a job to end, also one that is only being submitted."""
        with self.lock:
            self.unwanted.add(job.id)
            name = self.running.pop(job.id, None)
        if name is not None:
            self.end(name)

    def check_tuner(self, proposer: Proposer) -> None:
        """Raises ConfigError for a tuner whose trials take one machine, or that nobody would
        steer.
        """
        if self.whole_sweeps:
            return
        if proposer.clones:
            raise ConfigError(
                f"backend.sweep=per_trial: trials of {type(proposer).__name__} go on from each "
                "other's checkpoints, which takes one machine: backend.sweep=inside, or another "
                "tuner"
            )

        if not self.backend.wait:
            raise ConfigError(
                "backend.wait=false: with backend.sweep=per_trial this command is what tunes; "
                "a sweep inside one job needs nobody, backend.sweep=inside"
            )

    def outcome_of(self, job: ComposedJob) -> str | None:
        """A state of the trial's own, in its folder."""
        return f"{begin(job, self.backend, self.machine).folder.url}/candidate"

    def close(self) -> None:
        """Follow nothing any more.

        What runs goes on, unless whoever sits there wants it stopped.
        """
        interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
        self.closing.set()
        self.pool.shutdown(wait=False, cancel_futures=True)
        with self.lock:
            names = list(self.running.values())
            self.running = {}

        self.progress.quiet = False
        if names:
            self._leave_or_stop(names, ask=interrupted and sys.stdin.isatty())

    def _leave_or_stop(self, names: list[str], *, ask: bool) -> None:
        stop = False
        if ask:
            with suppress(EOFError, KeyboardInterrupt):
                answer = input(f"stop {', '.join(names)}? [y/N] ")
                stop = answer.strip().lower() in ("y", "yes")

        for name in names:
            if stop:
                self.end(name)
                said = f"{name} is stopping; the same command goes on from its last checkpoint"
            else:
                again = f"{name} goes on; the same command follows it again"
                said = f"{again}, {self.how_to('stop', name)} stops it"
            self.progress.line(said)

    def _run(self, prepared: PreparedJob) -> JobResult:
        job = prepared.job
        try:
            name, ended = submit_once(self, prepared, self.progress.line)
            if not self.backend.wait and not ended:
                return self._left(prepared, name)

            result = self._followed(prepared, name, quiet=ended)
            tries = 1
            while self.tries_again(job, result, tries) and not self._is_given_up(job):
                name, ended = submit_once(self, prepared, self.progress.line)
                result = self._followed(prepared, name, quiet=ended)
                tries += 1

            if not self.closing.is_set():
                result = self._brought_back(prepared, result)
        except RenateError as error:
            result = JobResult.failure(str(error))

        if not self.closing.is_set():
            job.directory.finish(result)
            self.progress.ended(job.name, result)

        return result

    def _left(self, prepared: PreparedJob, name: str) -> JobResult:
        return JobResult(
            SUBMITTED,
            url=prepared.upload.config.state.url,
            training_job=name,
            follow=self.how_to("wait", name),
        )

    def _is_given_up(self, job: ComposedJob) -> bool:
        """Whether nobody wants a job any more, now or after a moment's wait."""
        return job.id in self.unwanted or self.closing.wait(self.backend.poll)

    @staticmethod
    def _brought_back(prepared: PreparedJob, result: JobResult) -> JobResult:
        job = prepared.job
        if job.parts:
            return returned(job, result)
        if prepared.upload.back is not None:
            return result_here(result, prepared.upload.back, job.id)
        return result

    def _followed(self, prepared: PreparedJob, name: str, *, quiet: bool) -> JobResult:
        job = prepared.job
        upload = prepared.upload
        with self.lock:
            unwanted = job.id in self.unwanted
            if not unwanted:
                self.running[job.id] = name

        if unwanted:  # told so while it was being submitted
            self.end(name)

        result = JobResult.failure(f"left running as {name}")
        follower = Follower(
            lambda name: self.look(name, upload),
            upload.folder,
            name,
            self.backend.poll,
            self.closing,
        )
        for event in follower.events():
            if isinstance(event, JobResult):
                result = event
                continue
            for news in write_down(job.directory, event):
                if not quiet:
                    self._show(job, news)

        with self.lock:
            self.running.pop(job.id, None)

        return result

    def _show(self, job: ComposedJob, event: Event) -> None:
        show(self.progress, job.name, event)
        if event.kind == REPORT and event.metrics:
            self.listener(job, event.row)
