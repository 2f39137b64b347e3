"""The one sweeper: every run goes through it, a single run is a sweep of one."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError, JobError
from renate.jobs.records import JobResult

from ..base import ComposedJob
from ..composing.large_grids import jobs_of
from ..composing.launcher import HydraLauncher
from ..composing.registering import check_registered, registered, registry_for
from ..composing.session import launcher_for
from ..links import link_latest
from ..terminal import ends, pages, report
from .overrides import combinations, is_tuned

Outcome = list[tuple[ComposedJob, JobResult]]

WAITING = 10  # exit status of job=detect where no update is due


class RenateSweeper(Sweeper):
    """Every combination of the choices on the command line and in `params`; the command line wins.

    Args:
        params: Key -> choices in the grammar of the command line (`0,1,2`, `range(3)`,
            `choice(…)`).
    """

    def __init__(self, params: Mapping[str, str] | None) -> None:
        self.params = dict(params or {})

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's verb: the sweeper exists, and is told what for."""
        self.context = hydra_context
        self.settings = config
        self.runner: Launcher = launcher_for(hydra_context, task_function, config)
        if isinstance(self.runner, HydraLauncher):
            self.runner.draws = True

    def sweep(self, arguments: list[str]) -> list[Any]:
        """Run every combination and say how each ended.

        Raises:
            ConfigError: A domain without end, which only a tuner can sample.
            JobError: At least one job failed; all others have finished.
        """
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        params = [f"{key}={value}" for key, value in self.params.items()]
        parsed = parser.parse_overrides(params + arguments)

        launcher = self.runner
        if not isinstance(launcher, HydraLauncher):
            return self._by_batch(launcher, combinations(parsed))
        if is_tuned(self.settings, parsed):
            from .tuned_stream import tune  # lazy: most commands need none of what tunes

            tune(launcher, self.settings, parsed)
            return []

        return self._grid(launcher, combinations(parsed))

    @staticmethod
    def _by_batch(launcher: Launcher, grid: list[list[str]]) -> list[Any]:
        """By Hydra's own launchers, or a third party's, which know only batches."""
        returned = launcher.launch(grid, initial_job_idx=0)
        for job in returned:
            _ = job.return_value  # raises what a failed job raised, as Hydra's own sweeper does
        return list(returned)

    def _grid(self, launcher: HydraLauncher, grid: list[list[str]]) -> Outcome:
        jobs = jobs_of(launcher, grid)
        composed = [job for job in jobs if not job.waits]
        _check_streams(composed)
        hydra = self.settings.hydra

        if len(jobs) == 1 and launcher.progress.is_for_people:
            report.tree(jobs[0], hydra.runtime.choices)
        if len(jobs) > 1:
            OmegaConf.save(self.settings, Path(str(hydra.sweep.dir)) / "multirun.yaml")

        link_latest(jobs[-1].directory.path)  # already now: `renate jobs logs latest`

        try:
            for job in composed:
                registry_for(job.config)
            pages.expect(launcher.progress, composed)
            results = launcher.run(jobs)
        except KeyboardInterrupt:
            said = "interrupted: what is finished stays; the same command goes on from there"
            print(f"\n{said}", file=sys.stderr)
            raise

        done = zip(jobs, results, strict=True)
        outcome = [(job, registered(job.config, result)) for job, result in done]
        if not launcher.progress.quiet:
            ends.of_jobs(launcher.progress, outcome)
            pages.of_jobs(launcher.progress, outcome)
            _check_outcome(outcome)

        return outcome


def _check_outcome(outcome: Outcome) -> None:
    """Raises JobError where a job failed, in its own words where it was the only one, and where one
    that was to say whether an update is due has not.
    """
    failed = [result.reason for _, result in outcome if result.failed]
    if failed and len(outcome) == 1:
        raise JobError(failed[0])
    if failed:
        raise JobError(f"{len(failed)} of {len(outcome)} jobs failed; the first: {failed[0]}")

    check_registered([result for _, result in outcome])
    for job, result in outcome:
        if job.kind == "detect" and result.decision is None:
            raise JobError(
                f"job=detect ended without a decision, {result.reason}: a scheduler that goes by "
                "its exit status must wait for it"
            )
    if all(is_waiting(job, result) for job, result in outcome):
        sys.exit(WAITING)


def is_waiting(job: ComposedJob, result: JobResult) -> bool:
    """Whether a command asked if an update is due, and none is: schedulers go by its exit
    status.
    """
    asked = job.kind == "detect"
    return asked and result.decision is not None and result.decision.get("decision") == "wait"


def _check_streams(jobs: Sequence[ComposedJob]) -> None:
    """Streams side by side must not update one another's state.

    Raises:
        ConfigError: Two of them would.
    """
    taken: dict[str, ComposedJob] = {}
    for job in jobs:
        if job.kind != "stream" or job.config.state.url is None:
            continue

        url = job.config.state.url
        other = taken.setdefault(str(url), job)
        if other.id != job.id:
            lines = [line for line in job.overrides if line not in other.overrides]
            swept = "seed"
            if lines:
                swept = lines[0].partition("=")[0]

            key = "hydra.job.num"
            if "." in swept or swept == "seed":
                key = swept

            raise ConfigError(
                f"state.url={url}: each stream needs a state of its own, and there are several: "
                f"leave state.url out, or give 'state.url={url}-${{{key}}}'"
            )
