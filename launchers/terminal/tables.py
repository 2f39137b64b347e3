"""Tables of what several jobs came to, and of what a stream has kept."""

import re
import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from renate.jobs.records import JobResult

from ..base import ComposedJob
from .console import cell, command, relative, stdout
from .simulations import of_simulations
from .verdict import gated


def of_several(jobs: Sequence[tuple[ComposedJob, JobResult]]) -> None:
    """One row per job, mean ± sd over seeds where there are several, then the matrices of
    streams.
    """
    out = stdout()
    shown = metric_names([result for _, result in jobs])
    simulated = [job for job, _ in jobs if job.kind == "simulate"]
    if len(simulated) < len(jobs):
        out.print(_of_jobs(jobs, shown))
    else:
        out.print(_of_jobs(jobs, []))

    groups: dict[str, list[JobResult]] = {}
    for job, result in jobs:
        if result.completed:
            groups.setdefault(without_seed(job.name), []).append(result)

    if groups and len(simulated) == len(jobs):
        out.print()
        out.print(of_simulations(groups))
    elif any(len(results) > 1 for results in groups.values()):
        out.print()
        out.print(_over_seeds(groups, shown))

    for name, results in groups.items():
        streams = [result for result in results if result.matrix]
        if streams:
            out.print()
            out.print(matrix(name, streams))

    out.print()
    for job, result in jobs:
        _print_place(out, job, result)


def _of_jobs(jobs: Sequence[tuple[ComposedJob, JobResult]], shown: Sequence[str]) -> Table:
    columns = ("job", "overrides", "status", *shown, "seconds")
    table = Table(*columns, box=None, pad_edge=False, title_justify="left")
    for job, result in jobs:
        values = [number(result.metrics.get(name)) for name in shown]
        seconds = f"{result.seconds or 0:.1f}"
        table.add_row(cell(job.id), cell(job.name), cell(result.status), *values, seconds)
    return table


def without_seed(name: str) -> str:
    """What jobs share but for their seed, in words."""
    return re.sub(r"(^| )seed=\S+", "", name).strip() or "all"


def _over_seeds(groups: dict[str, list[JobResult]], shown: Sequence[str]) -> Table:
    table = Table("overrides", "seeds", *shown, box=None, pad_edge=False)
    for name, results in groups.items():
        means = [_mean([result.metrics.get(metric) for result in results]) for metric in shown]
        table.add_row(cell(name), str(len(results)), *means)
    return table


def _print_place(out: Console, job: ComposedJob, result: JobResult) -> None:
    path = str(relative(job.directory.path))
    publish = ("state", "publish", path)
    if result.version is not None:
        said = f"{job.name}: version {result.version} of {relative(result.url)}{gated(result)}"
        if job.config.state.url is None:
            said += f"; as the first of another state: {command([], *publish, '--url', 'URL')}"
        out.print(said, markup=False)
    elif result.completed and not _only_asks(result):
        out.print(f"{job.name}: publish with {command([], *publish)}", markup=False)


def _only_asks(result: JobResult) -> bool:
    """Whether a job has left nothing to publish: it measured, predicted, or compared new data."""
    known = (result.evaluated, result.predicted, result.detected)
    return any(version is not None for version in known)


def metric_names(results: Sequence[JobResult]) -> list[str]:
    """The metrics that have a column, in the order in which jobs have them: all but those of
    single test sets, of which there may be hundreds.
    """
    names: dict[str, None] = {}
    for result in results:
        names |= dict.fromkeys(result.metrics)
    return [name for name in names if "/" not in name]


def matrix(title: str, streams: Sequence[JobResult]) -> Table:
    """A metric on each chunk (columns) after each update (rows); of several streams the mean.

    Shares are shown in percent: what is better the larger, as accuracies and F1 are.
    """
    matrices = [stream.matrix or [] for stream in streams]
    metric = streams[0].metric or "accuracy"
    in_percent = streams[0].mode != "min"
    what = f"{metric} in %" if in_percent else metric
    seeds = ""
    if len(matrices) > 1:
        seeds = f", mean of {len(matrices)} seeds"

    said = f"{title}: {what} on each chunk after each update{seeds}"
    table = Table(title=cell(said), title_justify="left")

    chunks = range(len(matrices[0][0]))
    table.add_column("after update")
    for chunk in chunks:
        table.add_column(f"chunk {chunk + 1}", justify="right")

    for update in range(len(matrices[0])):
        means = [statistics.fmean(one[update][chunk] for one in matrices) for chunk in chunks]
        cells = [f"{100 * value:.1f}" if in_percent else f"{value:.4g}" for value in means]
        table.add_row(str(update + 1), *cells)

    return table


def number(value: object) -> str:
    """A metric's value with four digits, or a dash."""
    if isinstance(value, int | float):
        return f"{value:.4f}"
    return "–"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = f"{statistics.fmean(known):.4f}"
    if len(known) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(known):.4f}"
