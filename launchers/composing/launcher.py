"""What all our launchers share: from Hydra's batch of overrides to jobs that were run, each
once.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError, NothingNewError
from renate.jobs.config_yaml import dump
from renate.jobs.identity.already import TAKEN_AGAIN, is_gone, maker_of
from renate.jobs.records import COMPLETED, JobResult
from renate.state.versions import State

from ..base import ComposedJob, JobLauncher, name_apart
from ..links import link
from ..terminal.progress import Progress
from .composer import Composer

FEW = 500  # jobs whose configs are kept as they are; of more, a tenth of a megabyte each


class JobFailedError(CompactHydraException):
    """Becomes a failed job's return value: Hydra prints its message without a traceback of its
    own.
    """


class HydraLauncher(JobLauncher, Launcher):
    """Hydra calls `launch()` with a batch and waits for all of it: submit each, then wait for each.

    A backend implements `submit`, `stop` and `close`, and hands each report of a job to `listener`.

    Attributes:
        backend: The chosen option of the group `backend`.
        name: Of that option.
        composer: Makes jobs of overrides.
        progress: What the terminal shows.
        publish: Whether the outcome of a job becomes the next version: of a lone job's only, of
            several the user or a tuner picks one.
        draws: Whether the command ends with a page; a call from Python doesn't.
    """

    draws: bool = False

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's verb: the launcher exists, and is told what for."""
        self.config = config
        self.backend = config.backend
        self.name = str(config.hydra.runtime.choices.get("backend"))
        self.composer = Composer(cast(ConfigLoaderImpl, hydra_context.config_loader), config)
        self.progress = Progress(str(config.terminal))
        self.listener = lambda job, report: None

        missing = sorted(OmegaConf.missing_keys(config.backend))
        if missing:
            keys = [f"backend.{key.removeprefix('backend.')}=…" for key in missing]
            raise ConfigError(f"backend={self.name} needs " + ", ".join(keys))
        if config.hydra.job.chdir:
            raise ConfigError(
                "hydra.job.chdir=true: a job runs where the command was started, and writes to "
                "run_dir"
            )

        # Not resolved: `seed=${hydra.job.num}` has a value in a job only.
        given = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        parsed = OverridesParser.create().parse_overrides(cast("list[str]", given))
        swept = any(o.is_sweep_override() for o in parsed) or config.hydra.sweeper.get("params")
        self.publish = not swept

    def compose(self, number: int, overrides: Sequence[str]) -> ComposedJob:
        """Compose and check one job; see `Composer.compose`."""
        return self._composed(number, overrides)[0]

    def _composed(self, number: int, overrides: Sequence[str]) -> tuple[ComposedJob, DictConfig]:
        job, settings = self.composer.compose_for_hydra(number, overrides)
        job.record = replace(job.record, publish=self.publish)
        if job.record.nothing_new and job.config.resume and not self.publish:
            raise NothingNewError(f"{job.record.nothing_new}; {TAKEN_AGAIN}")
        self.check(job)
        return job, settings

    def batch(
        self,
        grid: Sequence[Sequence[str]],
        first: int = 0,
        heard: Callable[[DictConfig], None] = lambda settings: None,
    ) -> list[ComposedJob]:
        """Compose jobs.

        A job's directory is named by what it is, so that no job runs twice. Under a
        `hydra.sweep.dir` other than run_dir, `hydra.sweep.subdir` is a link to it.

        Args:
            grid: The overrides of each.
            first: The number of the first.
            heard: Is handed, for each job, the config that Hydra's own settings are a part of.
        """
        # Read before the jobs', which then agree on ${now:…}.
        folder = Path(str(self.config.hydra.sweep.dir))
        jobs: list[ComposedJob] = []
        links: list[tuple[Path, ComposedJob]] = []

        for number, overrides in enumerate(grid, first):
            job, settings = self._composed(number, overrides)
            jobs.append(job)
            heard(settings)
            if len(jobs) == 1 and len(grid) > 1 and job.directory.result is None:
                self.expect(job, len(grid))
            sweep = settings.hydra.sweep
            if Path(str(sweep.dir)).absolute() != job.directory.path.parent:
                links.append((Path(str(sweep.dir), str(sweep.subdir)), job))
            if len(grid) > FEW:
                job.rest()

        check_outputs(jobs)
        folder.mkdir(parents=True, exist_ok=True)
        for place, job in links:
            link(place, job.directory.path)

        return jobs

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Hydra's verb."""
        settings: list[DictConfig] = []
        jobs = self.batch(job_overrides, initial_job_idx, settings.append)
        results = self.run(jobs)
        return [_job_return(*each) for each in zip(jobs, settings, results, strict=True)]

    def run(self, jobs: Sequence[ComposedJob]) -> list[JobResult]:
        """Run jobs side by side and wait; equal jobs run once.

        After Ctrl-C nothing is left running.
        """
        futures: dict[str, Future[JobResult]] = {}
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

    def start(self, job: ComposedJob) -> Future[JobResult]:
        """Answer from an earlier run of exactly this job, else write the job's directory and
        submit it.
        """
        earlier = self.finished(job)
        if earlier is not None:
            done: Future[JobResult] = Future()
            done.set_result(earlier)
            return done

        self.prepare(job)
        return self.submit(job)

    def finished(self, job: ComposedJob) -> JobResult | None:
        """The result of an earlier run of exactly this job, if there is one and it may count."""
        if not job.config.resume or job.record.unread:
            return None
        if job.record.already is not None:
            return _result_of_version(job)

        earlier = None
        if job.known():
            earlier = job.directory.result

        if earlier is None or not earlier.completed:
            return None
        if is_gone(earlier, job.id):
            self.progress.line(
                f"{job.name}: finished earlier, but version {earlier.version} is no longer in "
                f"{earlier.url}: it runs again"
            )
            return None

        self.progress.line(
            f"{job.name}: finished earlier, in {job.directory.path} (resume=false runs it again)"
        )

        return earlier

    def prepare(self, job: ComposedJob) -> None:
        """Write the job's directory. An interrupted run of this very job is continued.

        A stream or a simulation goes on from its state, a fit from its checkpoint. One whose
        outcome is gone begins anew.
        """
        earlier = job.directory.result
        resume = bool(job.config.resume) and job.known()
        if earlier is not None and is_gone(earlier, job.id):
            resume = False
        keep_state = resume and job.kind in ("stream", "simulate")
        self.mark(job)
        job.directory.prepare(dump(job.config), job.record, resume=resume, keep_state=keep_state)

    def mark(self, job: ComposedJob) -> None:
        """Have a job's record say who looks after it, where that isn't this machine."""
        if self.elsewhere:
            job.record = replace(job.record, backend=self.name)


def _result_of_version(job: ComposedJob) -> JobResult:
    """What the job's own newest version says.

    Its job's directory is named where it is still there.
    """
    url = str(job.config.state.url)
    version = job.record.already
    assert version is not None
    manifest = State(url).manifest(version)
    maker = maker_of(manifest, job.directory.path.parent)
    earlier = None
    if maker is not None:
        earlier = maker.result
        if earlier is not None and earlier.failed:
            from renate.jobs.saved.earlier import set_right  # lazy: it imports torch

            earlier = set_right(maker, State(url), manifest)

    return JobResult(
        COMPLETED,
        metrics=earlier.metrics if earlier is not None else {},
        url=url,
        version=version,
        already=version,
        nothing_new=job.record.nothing_new,
        gate=manifest.lineage.get("gate"),
        job=str(maker.path) if maker is not None and earlier is not None else None,
    )


def check_outputs(jobs: Sequence[ComposedJob]) -> None:
    """Return if no two jobs write one file.

    Raises:
        ConfigError: Two do.
    """
    written: dict[Path, str] = {}
    for job in jobs:
        if job.kind != "predict":
            continue
        output = job.config.get("output")
        if output in (None, "-"):
            continue
        path = Path(str(output)).absolute()
        if written.setdefault(path, job.id) != job.id:
            raise ConfigError(
                f"output={output}: two jobs of the sweep would write it: name it by what differs, "
                "as 'output=pred-${job.version}.parquet'"
            )


def _job_return(job: ComposedJob, settings: DictConfig, result: JobResult) -> JobReturn:
    out = JobReturn(
        overrides=job.overrides,
        cfg=job.config,
        hydra_cfg=settings,
        working_dir=str(job.directory.path),
        task_name=settings.hydra.job.name,
    )
    if result.failed:
        out.status = JobStatus.FAILED
        out.return_value = JobFailedError(f"{job.name}: {result.reason}")
    else:
        out.status = JobStatus.COMPLETED
        out.return_value = result.value
    return out
