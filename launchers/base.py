"""A Hydra launcher that can also start, watch and stop single jobs."""

import os
import shlex
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError
from renate.jobs.directory import Json

from .compose import Composer, Job, name_apart
from .progress import Progress


class JobFailedError(CompactHydraException):
    """Becomes a failed job's return value: Hydra prints its message without a traceback of its own."""


class RenateLauncher(Launcher):
    """Hydra calls `launch()` with a batch and waits for all of it: here that is submit each, then wait for each.

    A backend implements `submit`, `stop` and `close`, and hands each report of a job to `listener`. A worker needs
    nothing but the job's directory, so local, cluster and cloud backends share everything else.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.backend = config, config.backend
        self.composer = Composer(cast(ConfigLoaderImpl, hydra_context.config_loader), config)
        self.progress = Progress()
        self.listener: Callable[[Job, Json], None] = lambda job, report: None
        missing = sorted(OmegaConf.missing_keys(config.backend))
        if missing:
            name = config.hydra.runtime.choices.backend
            raise ConfigError(f"backend={name} needs " + ", ".join(f"backend.{key}=…" for key in missing))
        parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        swept = any(o.is_sweep_override() for o in parsed) or config.hydra.sweeper.get("params")
        # Only the outcome of a lone job is published; of several, the user or a tuner picks one.
        self.publish = not swept

    @abstractmethod
    def submit(self, job: Job) -> Future[Json]:
        """Start a prepared job; the future gives its result, whatever its status, and never raises."""

    @abstractmethod
    def stop(self, job: Job) -> None:
        """Ask a job to end at its next report."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running. Hydra has no such hook: called after Ctrl-C, else at exit. May be called twice."""

    def release(self) -> None:
        """Called where `close` would be, but more jobs of this process may follow."""
        self.close()

    def compose(self, number: int, overrides: Sequence[str]) -> Job:
        """See `renate.launchers.compose.Composer`."""
        job = self.composer.compose(number, overrides)
        job.record["publish"] = self.publish
        return job

    def start(self, job: Job) -> Future[Json]:
        """Answer from an earlier run of exactly this job, else write the job's directory and submit it."""
        known = bool(job.config.resume) and job.known()
        earlier = job.directory.result if known else None
        if job.config.resume and job.record.get("already") is not None:
            earlier = self._already(job)
        elif earlier is not None and earlier["status"] == "completed":
            self.progress.line(f"{job.name}: finished earlier, in {job.directory.path} (resume=false runs it again)")
        if earlier is not None and earlier["status"] == "completed":
            done: Future[Json] = Future()
            done.set_result(earlier)
            return done
        # An interrupted run of this very job is continued: a stream from its state, a fit from its checkpoint.
        resume, stream = known, job.config.job.name == "stream"
        text = OmegaConf.to_yaml(job.config)
        job.directory.prepare(text, job.record, resume=resume, keep_state=resume and stream)
        return self.submit(job)

    def _already(self, job: Job) -> Json:
        version, url = job.record["already"], job.config.state.url
        self.progress.line(
            f"already published as version {version} of {url}, from this config and data; resume=false trains again"
        )
        metrics = (job.directory.result or {}).get("metrics", {})
        return {"status": "completed", "value": None, "metrics": metrics, "version": version, "url": url}

    def run(self, jobs: Sequence[Job]) -> list[Json]:
        """Run jobs side by side and wait; equal jobs run once. After Ctrl-C nothing is left running."""
        futures: dict[str, Future[Json]] = {}
        if len(jobs) > 1:
            name_apart(jobs)
        try:
            with self.progress.watching(len(jobs)):
                for job in jobs:
                    if job.id not in futures:
                        futures[job.id] = self.start(job)
                return [futures[job.id].result() for job in jobs]
        except BaseException:
            self.close()
            raise

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's verb."""
        jobs = [self.compose(number, overrides) for number, overrides in enumerate(job_overrides, initial_job_idx)]
        return [self._job_return(job, result) for job, result in zip(jobs, self.run(jobs), strict=True)]

    @staticmethod
    def _job_return(job: Job, result: Json) -> JobReturn:
        path = str(job.directory.path)
        out = JobReturn(overrides=job.overrides, cfg=job.config, working_dir=path, task_name="renate")
        failed = result["status"] == "failed"
        out.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
        out.return_value = JobFailedError(f"{job.name}: {result['error']}") if failed else result["value"]
        return out


def command(overrides: Sequence[str], *more: str) -> str:
    """The command line that gives these overrides, quoted for the shell."""
    return shlex.join(["renate", *overrides, *more])


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
