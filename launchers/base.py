"""A Hydra launcher that can also start, watch and stop single jobs."""

import os
import shlex
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError
from renate.jobs.directory import JobDirectory, Json
from renate.jobs.text import dump
from renate.state.publish import NAME
from renate.state.versions import State
from renate.tuning.base import Proposer

from .compose import Composer, Job, name_apart
from .progress import Progress


class JobFailedError(CompactHydraException):
    """Becomes a failed job's return value: Hydra prints its message without a traceback of its own."""


class RenateLauncher(Launcher):
    """Hydra calls `launch()` with a batch and waits for all of it: here that is submit each, then wait for each.

    A backend implements `submit`, `stop` and `close`, and hands each report of a job to `listener`. A worker needs
    nothing but the job's directory, so local, cluster and cloud backends share everything else.

    Attributes:
        whole_sweeps: Whether a sweep becomes one job, which runs all of it.
        latest: Whether run_dir gets a link to what runs; not where it is mirrored.
    """

    whole_sweeps, latest = False, True

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.backend = config, config.backend
        self.composer = Composer(cast(ConfigLoaderImpl, hydra_context.config_loader), config)
        self.progress = Progress()
        self.listener: Callable[[Job, Json], None] = lambda job, report: None
        missing = sorted(OmegaConf.missing_keys(config.backend))
        if missing:
            name = config.hydra.runtime.choices.backend
            keys = [f"backend.{key.removeprefix('backend.')}=…" for key in missing]
            raise ConfigError(f"backend={name} needs " + ", ".join(keys))
        if config.hydra.job.chdir:
            raise ConfigError("hydra.job.chdir=true: a job runs where the command was started, and writes to run_dir")
        # Not resolved: `seed=${hydra.job.num}` has a value in a job only.
        given = cast("list[str]", OmegaConf.to_container(config.hydra.overrides.task, resolve=False))
        parsed = OverridesParser.create().parse_overrides(given)
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

    def expect(self, job: Job, jobs: int) -> None:
        """Get ready, if that takes time, for so many jobs of which this is the first; the others may yet be refused."""

    def check_tuner(self, proposer: Proposer) -> None:
        """Raises ConfigError for a tuner whose trials this launcher can't run."""

    def outcome_of(self, job: Job) -> str | None:
        """URL where a tuner's trial leaves its outcome, a state by itself; None: in its directory."""
        return None

    def finished(self, job: Job) -> Json | None:
        """The result of an earlier run of exactly this job, if there is one and it may count."""
        if not job.config.resume or job.record.get("unread"):
            return None
        if job.record.get("already") is not None:
            return self._already(job)
        earlier = job.directory.result if job.known() else None
        if earlier is None or earlier["status"] != "completed":
            return None
        self.progress.line(f"{job.name}: finished earlier, in {job.directory.path} (resume=false runs it again)")
        return earlier

    def prepare(self, job: Job) -> None:
        """Write the job's directory. An interrupted run of this very job is continued.

        A stream goes on from its state, a fit from its checkpoint.
        """
        resume, stream = bool(job.config.resume) and job.known(), job.config.job.name == "stream"
        job.directory.prepare(dump(job.config), job.record, resume=resume, keep_state=resume and stream)

    def start(self, job: Job) -> Future[Json]:
        """Answer from an earlier run of exactly this job, else write the job's directory and submit it."""
        earlier = self.finished(job)
        if earlier is not None:
            done: Future[Json] = Future()
            done.set_result(earlier)
            return done
        self.prepare(job)
        return self.submit(job)

    def _already(self, job: Job) -> Json:
        """What the job's own newest version says; its job's directory is named where it is still there."""
        state, version = State(str(job.config.state.url)), int(job.record["already"])
        made_by = state.manifest(version).job
        folder = job.directory.path.parent / str(made_by)
        earlier = JobDirectory(folder).result if NAME.fullmatch(str(made_by)) and folder.is_dir() else None
        metrics = (earlier or {}).get("metrics", {})
        found = {"status": "completed", "value": None, "metrics": metrics, "url": str(job.config.state.url)}
        return found | {"version": version, "already": version, "job": str(folder) if earlier else None}

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

    def batch(self, grid: Sequence[Sequence[str]], first: int = 0) -> list[tuple[Job, DictConfig]]:
        """Compose jobs, each with the config that Hydra's own settings are a part of.

        A job's directory is named by what it is, so that no job runs twice. Under a `hydra.sweep.dir` other than
        run_dir, `hydra.sweep.subdir` is a link to it.
        """
        folder = Path(str(self.config.hydra.sweep.dir))  # read before the jobs', which then agree on ${now:…}
        composed, links = [], []
        for number, overrides in enumerate(grid, first):
            job = self.compose(number, overrides)
            settings = cast(DictConfig, HydraConfig.instance().cfg)  # this job's: the composer leaves it there
            composed.append((job, settings))
            if len(composed) == 1 and len(grid) > 1 and job.directory.result is None:
                self.expect(job, len(grid))
            if Path(str(settings.hydra.sweep.dir)).absolute() != job.directory.path.parent:
                links.append((Path(str(settings.hydra.sweep.dir), str(settings.hydra.sweep.subdir)), job))
        folder.mkdir(parents=True, exist_ok=True)
        for place, job in links:
            _link(place, job.directory.path)
        return composed

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's verb."""
        composed = self.batch(job_overrides, initial_job_idx)
        results = self.run([job for job, _ in composed])
        return [self._job_return(job, hydra, result) for (job, hydra), result in zip(composed, results, strict=True)]

    @staticmethod
    def _job_return(job: Job, hydra: DictConfig, result: Json) -> JobReturn:
        path, name = str(job.directory.path), hydra.hydra.job.name
        out = JobReturn(overrides=job.overrides, cfg=job.config, hydra_cfg=hydra, working_dir=path, task_name=name)
        failed = result["status"] == "failed"
        out.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
        out.return_value = JobFailedError(f"{job.name}: {result['error']}") if failed else result["value"]
        return out


def _link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not place.is_symlink():
        raise ConfigError(f"hydra.sweep.subdir: {place} is there already, and isn't a link to a job")
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, place.parent.resolve()), target_is_directory=True)
    temporary.replace(place)


def command(overrides: Sequence[str], *more: str) -> str:
    """The command line that gives these overrides, quoted for the shell."""
    return shlex.join(["renate", *overrides, *more])
