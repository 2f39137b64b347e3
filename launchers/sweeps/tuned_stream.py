"""A stream of updates with a tuner: tuned at the first update, at every update, or as a whole."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from renate.errors import ConfigError, JobError
from renate.jobs.directory import write_json
from renate.jobs.identity.already import came_from
from renate.jobs.records import COMPLETED, JobResult
from renate.jobs.scoring.matrix import mean_of_each, name_of_test
from renate.metrics import is_of_fit
from renate.state.versions import State
from renate.tuning.on_disk.sweep_folder import EVENTS
from renate.tuning.on_disk.sweep_record import RECORD, PinnedSweep

from ..composing.launcher import HydraLauncher
from ..links import link_latest
from ..terminal import ends, pages, report
from ..terminal.console import relative, stdout
from ..terminal.tables import matrix
from .request import lines_of
from .sweep_as_job import hand_over
from .tuned_update import Tuning

OF_ONE_UPDATE = ("job", "state.url", "state.next_url", "state.first", "objective.metric")


def tune(
    launcher: HydraLauncher,
    settings: DictConfig,
    parsed: Sequence[Override],
    pinned: PinnedSweep | None = None,
) -> JobResult:
    """Run a tuned update, or a tuned stream; returns what the command ends with.

    For `pinned` see `Tuning`.
    """
    tuning = Tuning(launcher, settings, parsed, pinned)
    config = tuning.base.config
    several = config.job.name == "stream" and config.tuner.tune_on != "stream"
    metric = str(config.objective.metric)

    if several and not is_of_fit(metric):
        raise ConfigError(
            f"objective.metric={metric} is known at a stream's end: tuner.tune_on=stream, or "
            "objective.metric=val_accuracy to tune single updates"
        )

    if launcher.whole_sweeps:
        outcome = hand_over(tuning, parsed, one=not several)
        handed = (tuning.folder / RECORD).exists()  # not where its winner is published already
        if handed and outcome.completed and is_drawn(launcher, config):
            _draw_returned(tuning, outcome)
        return outcome
    if not several:
        outcome = tuning.run()
        if is_drawn(launcher, config) and (tuning.folder / RECORD).exists():
            pages.of_sweep(launcher.progress, tuning.folder)
        return outcome
    if config.tuner.tune_on == "first_update":
        return _by_the_first(tuning, settings, parsed)

    return _each(tuning, settings, parsed)


def _draw_returned(tuning: Tuning, outcome: JobResult) -> None:
    """Write the page of a sweep that ran elsewhere as one job: its trials have come back, or of a
    stream its versions.
    """
    progress = tuning.launcher.progress
    if (tuning.folder / EVENTS).exists():
        pages.of_sweep(progress, tuning.folder)
    elif outcome.url is not None and outcome.version is not None:
        pages.of_state(progress, outcome.url, tuning.folder)


def is_drawn(launcher: HydraLauncher, config: DictConfig) -> bool:
    """Whether a command ends with a page; one on another machine leaves that to who asked."""
    return launcher.draws and launcher.latest and config.report == pages.AUTO


def _of_update(
    tuning: Tuning, settings: DictConfig, parsed: Sequence[Override], *more: str
) -> Tuning:
    """The sweep of one update of the stream."""
    metric = f"objective.metric={tuning.base.config.objective.metric}"
    added = OverridesParser.create().parse_overrides(["job=update", metric, *more])
    return Tuning(
        tuning.launcher,
        settings,
        [*(o for o in parsed if o.key_or_group not in OF_ONE_UPDATE), *added],
    )


def _untuned(tuning: Tuning) -> list[str]:
    return [str(o.input_line) for o in tuning.fixed if not o.key_or_group.startswith("tuner")]


def _by_the_first(tuning: Tuning, settings: DictConfig, parsed: Sequence[Override]) -> JobResult:
    """Tune the first update, then run the whole stream by its winner."""
    launcher = tuning.launcher
    won = _of_update(tuning, settings, parsed, "job.chunk=0").run()
    launcher.progress.quiet = False
    launcher.progress.line("the stream, by the winner of its first update")

    job = launcher.compose(0, [*_untuned(tuning), *lines_of(won.best_params or {})])
    job.record = replace(job.record, publish=True)
    result = launcher.run([job])[0]
    if launcher.latest:
        link_latest(job.directory.path)
    if result.failed:
        raise JobError(result.reason)

    ends.of_one(
        launcher.progress, job.name, job.directory.path, result, lambda: report.single(job, result)
    )
    if is_drawn(launcher, job.config):
        pages.of_job(launcher.progress, job)

    return result


def _each(tuning: Tuning, settings: DictConfig, parsed: Sequence[Override]) -> JobResult:
    """Tune each update, from the version that the last one's winner left; then measure them all."""
    url = str(tuning.base.config.state.url or tuning.folder / "state")
    chunks = int(tuning.base.config.scenario.chunks)
    for chunk in range(chunks):
        _tune_chunk(tuning, settings, parsed, chunk, url)

    results = _measured(tuning, url, chunks)
    metric = str(results[0].metric)
    mode = str(results[0].mode)
    rows = [_on_chunks(result, metric, chunks) for result in results]

    from renate import metrics  # lazy: it imports torch

    every = metrics.of_stream(rows, [0.0] * chunks, metric, mode)
    found = {name: every[name] for name in (f"average_{metric}", "forgetting")}
    outcome = JobResult(
        COMPLETED, metrics=found, matrix=rows, metric=metric, mode=mode, url=url, version=chunks
    )
    tuning.folder.mkdir(parents=True, exist_ok=True)
    write_json(tuning.folder / "matrix.json", outcome.to_json())

    progress = tuning.launcher.progress
    progress.quiet = False
    ends.of_one(progress, tuning.record.id, tuning.folder, outcome, lambda: _print_each(outcome))
    if is_drawn(tuning.launcher, tuning.base.config):
        pages.of_state(progress, url, tuning.folder)

    return outcome


def _print_each(outcome: JobResult) -> None:
    out = stdout()
    out.print(matrix("each update tuned", [outcome]))
    for name, value in outcome.metrics.items():
        out.print(f"{name:28s} {value:.4f}", markup=False)

    where = str(outcome.url)
    if "://" not in where:
        where = relative(Path(where))

    out.print(f"version     {outcome.version} of {where}", markup=False)


def _tune_chunk(
    tuning: Tuning, settings: DictConfig, parsed: Sequence[Override], chunk: int, url: str
) -> None:
    """Tune one update of the stream, unless an earlier run of this command got that far.

    Raises:
        ConfigError: The state's version of this update isn't of this stream.
    """
    launcher = tuning.launcher
    state = State(url)
    there = state.versions()
    more = [
        f"job.chunk={chunk}",
        f"state.url='{url}'",
        f"state.first={'false' if there else 'true'}",
    ]
    sweep = _of_update(tuning, settings, parsed, *more)
    launcher.progress.quiet = False

    if len(there) > chunk:
        if not came_from(state.manifest(there[chunk]), sweep.record.recipe):
            raise ConfigError(
                f"state.url={url} holds version {there[chunk]}, which is not of this stream: "
                "a stream starts from nothing, give it a URL of its own"
            )
        return

    launcher.progress.line(f"update {chunk + 1}/{tuning.base.config.scenario.chunks}")
    sweep.run()


def _measured(tuning: Tuning, url: str, chunks: int) -> list[JobResult]:
    """The evaluation of each version on all chunks.

    Raises:
        JobError: One failed.
    """
    launcher = tuning.launcher
    fixed = [line for line in _untuned(tuning) if line.partition("=")[0] not in OF_ONE_UPDATE]
    asked = [*fixed, "job=evaluate", f"state.url='{url}'", "objective.metric=val_loss"]
    jobs = [
        launcher.compose(index, [*asked, f"job.version={index + 1}"]) for index in range(chunks)
    ]
    launcher.progress.quiet = True
    results = launcher.run(jobs)
    for result in results:
        if not result.completed:
            raise JobError(result.reason)

    return results


def _on_chunks(result: JobResult, metric: str, chunks: int) -> list[float]:
    """A metric on each chunk, in their order: the mean over its tests where there are several.

    Beside them stand those of single labels: `test_accuracy/cat`, `test_accuracy/cat/chunk 1`.
    """
    if chunks == 1:
        return [result.metrics[f"test_{metric}"]]

    prefix = f"test_{metric}/"
    found = mean_of_each(
        (name.removeprefix(prefix), value)
        for name, value in result.metrics.items()
        if name.startswith(prefix)
    )
    return [found[name_of_test(chunk)] for chunk in range(chunks)]
