"""Several jobs side by side."""

from collections.abc import Iterator
from statistics import fmean, stdev

from renate.extras import load
from renate.report.facts import Report
from renate.report.figures.lines import legend_above, line
from renate.report.figures.style import EXTRA, WHO, Drawn, canvas, colour, finished, short

MOST_GROUPS = 8


def groups_of(report: Report, metric: str) -> dict[str, list[float]]:
    """Return a metric of each job that has it, by what jobs share but for their seed."""
    found: dict[str, list[float]] = {}
    for run in report.runs:
        if metric in run.metrics:
            found.setdefault(run.group, []).append(run.metrics[metric])
    return found


def shown_metric(report: Report) -> str | None:
    """Return the metric by which jobs are compared: of streams the average."""
    names = [name for run in report.runs for name in run.metrics if "/" not in name]
    wanted = []
    if report.measure is not None:
        kinds = ("prequential", "average", "test")
        wanted = [f"{kind}_{report.measure.name}" for kind in kinds]
    return next((name for name in [*wanted, *names] if name in names), None)


def bars(report: Report) -> Iterator[Drawn]:
    """The metric of each group, mean and each seed."""
    metric = shown_metric(report)
    if metric is None:
        return

    groups = dict(list(groups_of(report, metric).items())[:30])
    names = list(groups)[::-1]
    with canvas(height=0.9 + 0.34 * len(names)) as (figure, axes):
        for place, name in enumerate(names):
            values = groups[name]
            spread = stdev(values) if len(values) > 1 else 0.0
            axes.barh(place, fmean(values), height=0.56, color=colour(0), alpha=0.85)
            if spread:
                axes.errorbar(
                    fmean(values), place, xerr=spread, color=colour(1), capsize=3, linewidth=1.4
                )
            axes.scatter(values, [place] * len(values), s=14, color=colour(1), zorder=3)

        axes.set_yticks(range(len(names)), [short(name, 30) for name in names])
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_xlabel(metric)
        yield finished(
            figure,
            "comparison",
            f"{metric.replace('_', ' ').capitalize()}, side by side",
            "Bars are means, dots single jobs, and whiskers the standard deviation over seeds.",
        )


def averages(report: Report) -> Iterator[Drawn]:
    """Of streams: the mean over the chunks so far, after each update."""
    groups: dict[str, list[list[float]]] = {}
    for run in report.runs:
        if run.rows:
            means = [fmean(row[: seen + 1]) for seen, row in enumerate(run.rows)]
            groups.setdefault(run.group, []).append(means)
    if not groups or report.measure is None:
        return

    with canvas() as (figure, axes):
        for number, (name, runs) in enumerate(list(groups.items())[:MOST_GROUPS]):
            shortest = min(len(run) for run in runs)
            means = [fmean(run[place] for run in runs) for place in range(shortest)]
            line(axes, range(1, shortest + 1), means, name, colour(number))

        axes.set_xlabel("update")
        axes.set_ylabel(report.measure.name)
        axes.xaxis.set_major_locator(
            load("matplotlib.ticker", EXTRA, WHO).MaxNLocator(integer=True)
        )
        legend_above(axes)
        yield finished(
            figure,
            "averages",
            "Mean of all chunks so far, after each update",
            "Of several seeds the mean."
            + (f" The first {MOST_GROUPS} are drawn." if len(groups) > MOST_GROUPS else ""),
        )
