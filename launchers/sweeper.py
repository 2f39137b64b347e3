"""The one sweeper: every run goes through it, a single run is a sweep of one."""

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError, JobError
from renate.jobs.directory import Json

from . import report
from .base import RenateLauncher
from .compose import Job
from .tuned.stream import tune
from .tuned.update import is_tuned


class RenateSweeper(Sweeper):
    """Every combination of the choices on the command line and in `params`; the command line wins.

    Args:
        params: Key -> choices in the grammar of the command line (`0,1,2`, `range(3)`, `choice(…)`).
    """

    def __init__(self, params: Mapping[str, str] | None) -> None:
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.settings = hydra_context, config
        self.runner: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[tuple[Job, Json]]:
        """Run every combination and say how each ended.

        Raises:
            ConfigError: A domain without end, which only a tuner can sample.
            JobError: At least one job failed; all others have finished.
        """
        parsed = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(
            [f"{key}={value}" for key, value in self.params.items()] + arguments
        )
        if isinstance(self.runner, RenateLauncher) and is_tuned(self.settings, parsed):
            tune(self.runner, self.settings, parsed)
            return []
        grid = combinations(parsed)
        if not isinstance(self.runner, RenateLauncher):  # Hydra's own or a third party's: only batches
            returned = self.runner.launch(grid, initial_job_idx=0)
            for batch_job in returned:
                _ = batch_job.return_value  # raises what a failed job raised, as Hydra's own sweeper does
            return list(returned)  # type: ignore[arg-type]
        jobs = [job for job, _ in self.runner.batch(grid)]
        _check_streams(jobs)
        if len(jobs) == 1:
            report.tree(jobs[0], self.settings.hydra.runtime.choices)
        else:
            OmegaConf.save(self.settings, Path(str(self.settings.hydra.sweep.dir)) / "multirun.yaml")
        report.link_latest(jobs[-1].directory.path)  # already now: `renate jobs logs latest`
        try:
            results = self.runner.run(jobs)
        except KeyboardInterrupt:
            print("\ninterrupted: what is finished stays; the same command goes on from there", file=sys.stderr)
            raise
        outcome = list(zip(jobs, results, strict=True))
        if not self.runner.progress.quiet:
            report.outcome(outcome)
        failed = [job for job, result in outcome if result["status"] == "failed"]
        if failed and not self.runner.progress.quiet:
            first = next(result for _, result in outcome if result["status"] == "failed")
            raise JobError(
                f"{len(failed)} of {len(jobs)} jobs failed; the first: {first['error']}" if jobs[1:] else first["error"]
            )
        return outcome


def _check_streams(jobs: Sequence[Job]) -> None:
    """Streams side by side must not update one another's state.

    Raises:
        ConfigError: Two of them would.
    """
    taken: dict[str, Job] = {}
    for job in jobs:
        url = job.config.state.url
        if job.config.job.name != "stream" or url is None:
            continue
        other = taken.setdefault(str(url), job)
        if other.id != job.id:
            swept = next((o for o in job.overrides if o not in other.overrides), "seed=1").partition("=")[0]
            key = swept if "." in swept or swept == "seed" else "hydra.job.num"
            raise ConfigError(
                f"state.url={url}: each stream needs a state of its own, and there are several: leave state.url out, "
                f"or give 'state.url={url}-${{{key}}}'"
            )


def combinations(parsed: Sequence[Override]) -> list[list[str]]:
    """The grid: one list of overrides per job, in the order of Hydra's own sweeper."""
    choices: dict[str, list[str]] = {}
    for override in parsed:
        line: Any = override.input_line
        if not override.is_sweep_override():
            choices[override.key_or_group] = [line]
        elif override.is_discrete_sweep():
            key = override.get_key_element()
            choices[override.key_or_group] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise ConfigError(
                f"{line}: a domain without end; a grid needs choices, as {override.key_or_group}=0.1,0.01"
            )
    return [list(job) for job in itertools.product(*choices.values())]
