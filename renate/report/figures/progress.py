"""How good the versions are, over the updates."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from renate.report.facts import Report
from renate.report.figures.heat import heat
from renate.report.figures.lines import legend_above, line, marks, mean_or_gap
from renate.report.figures.style import (
    LIGHT,
    Drawn,
    canvas,
    colour,
    finished,
    thinned,
)
from renate.report.versions import Measure, Update

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 6  # test sets that have a line each; of more the mean and the range are drawn


def matrix(report: Report) -> Iterator[Drawn]:
    """A stream's matrix: a metric on each chunk after each update."""
    if report.matrix is None or report.measure is None:
        return

    measure = report.measure
    rows = report.matrix.rows
    with canvas(height=min(4.2, 1.3 + 0.28 * len(rows))) as (figure, axes):
        limits = (0.0, 1.0) if measure.is_share else None
        heat(
            axes,
            rows,
            rows=[str(number) for number in range(1, len(rows) + 1)],
            columns=[name.removeprefix("chunk ") for name in report.matrix.chunks],
            text=lambda value: f"{100 * value:.0f}" if measure.is_share else f"{value:.3g}",
            limits=limits,
            darker_is=measure.mode or "max",
        )
        axes.set_xlabel("chunk of data")
        axes.set_ylabel("after update")
        unit = ""
        if measure.is_share:
            unit = " in %"
        yield finished(
            figure,
            "matrix",
            f"{measure.title}{unit} on each chunk after each update",
            "Read a column downwards: how well a chunk is known as others follow. The diagonal is "
            "the moment it was learned; paler below it is forgetting. Above it are chunks that had "
            "not come yet.",
        )


def _tick(measure: Measure, value: float) -> str:
    return f"{100 * value:.0f} %" if measure.is_share else f"{value:.3g}"


def over_updates(report: Report) -> Iterator[Drawn]:
    """The metric over the versions: of a stream its averages, else each test set."""
    if report.measure is None or len(report.updates) < 2:
        return
    if report.matrix is not None:
        yield from _of_stream(report, report.measure)
    else:
        yield from _of_tests(report, report.measure)


def _of_stream(report: Report, measure: Measure) -> Iterator[Drawn]:
    assert report.matrix is not None
    rows = report.matrix.rows
    updates = list(range(1, len(rows) + 1))
    average = [sum(row[:seen]) / seen for seen, row in zip(updates, rows, strict=True)]
    learned = [row[seen - 1] for seen, row in zip(updates, rows, strict=True)]
    with canvas() as (figure, axes):
        line(axes, updates, learned, "the chunk just learned", LIGHT["orange"])
        line(axes, updates, average, "mean of all chunks so far", LIGHT["blue"])
        _finish(axes, measure, "update", [str(number) for number in updates])
        yield finished(
            figure,
            "over_updates",
            f"{measure.title} over the updates",
            "The gap between both lines is what was forgotten of earlier chunks.",
        )


def _of_tests(report: Report, measure: Measure) -> Iterator[Drawn]:
    updates = report.updates
    tests = list(dict.fromkeys(name for update in updates for name in update.after))
    versions = [update.version for update in updates]
    places = list(range(len(updates)))
    names = [str(version) for version in versions]
    with canvas() as (figure, axes):
        if len(tests) > MOST_LINES:
            _band(axes, places, [_scores(update, measure.name) for update in updates])
        else:
            for number, test in enumerate(tests):
                values = [update.after.get(test, {}).get(measure.name) for update in updates]
                line(axes, places, values, f"{test}, after", colour(number))

        before = [update.mean(measure.name, before=True) for update in updates]
        if any(value is not None for value in before):
            marks(axes, places, before, "version in use before, mean")

        _finish(axes, measure, "version", names)
        yield finished(
            figure,
            "over_updates",
            f"{measure.title} of each version",
            "Rings show what the version in use before scored on the same data: a point above "
            "its ring is better than what it replaces."
            if measure.mode == "max"
            else "Rings show what the version in use before scored on the same data.",
        )


def _scores(update: Update, metric: str) -> list[float]:
    return [found[metric] for found in update.after.values() if metric in found]


def _band(axes: "Axes", places: Sequence[int], values: Sequence[Sequence[float]]) -> None:
    """Of many test sets their mean, and between which values all of them lie."""
    means = [mean_or_gap(each) for each in values]
    low = [min(each, default=math.nan) for each in values]
    high = [max(each, default=math.nan) for each in values]
    axes.fill_between(
        places, low, high, color=LIGHT["blue"], alpha=0.18, linewidth=0, label="all test sets"
    )
    line(axes, places, means, "their mean", LIGHT["blue"])


def _finish(axes: "Axes", measure: Measure, what: str, names: Sequence[str]) -> None:
    places, texts = thinned(names)
    first = 1 if what == "update" else 0
    axes.set_xticks([first + place for place in places], texts)
    axes.set_xlabel(what)
    axes.yaxis.set_major_formatter(lambda value, _: _tick(measure, value))
    axes.margins(x=0.04)
    legend_above(axes)
