"""Class by class: accuracy, confusion, calibration, and what was trained on and kept."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from renate.report.facts import Report
from renate.report.figures.heat import heat
from renate.report.figures.lines import legend_above
from renate.report.figures.style import LIGHT, Drawn, canvas, finished, short, thinned
from renate.state.measured.answer_counts import BINS, AnswerCounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 200  # rows of a heat map; of more its picture would be a blur
FEWEST = 5  # answers of a bin that is drawn; of fewer the share that is right says little


def per_class(report: Report) -> Iterator[Drawn]:
    """The share of each class that is answered rightly, over the versions."""
    known = [update for update in report.updates if "after" in update.answers]
    classes = sorted({truth for update in known for truth in update.answers["after"].by_class()})
    if not known or len(classes) > MOST_CLASSES:
        return

    cells = [[_accuracy(update.answers["after"], each) for update in known] for each in classes]
    if len(known) == 1:
        yield _per_class_bars(report, [row[0] for row in cells], classes, known[0].version)
        return

    with canvas(height=_height(len(classes))) as (figure, axes):
        heat(
            axes,
            cells,
            rows=[report.label(each) for each in classes],
            columns=[str(update.version) for update in known],
            text=lambda value: f"{100 * value:.0f}",
            limits=(0.0, 1.0),
        )
        axes.set_xlabel("version")
        axes.set_ylabel("class")
        yield finished(
            figure,
            "per_class",
            "Right answers by class, in %",
            "Of the examples of each class, the share that each version answers rightly. A "
            "row that pales to the right is a class that is being forgotten; an empty cell had no "
            "example.",
        )


def _per_class_bars(
    report: Report, shares: Sequence[float], classes: Sequence[int], version: int
) -> Drawn:
    with canvas(height=_height(len(classes))) as (figure, axes):
        _bars(axes, [report.label(each) for each in classes], shares)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.set_ylabel("class")
        return finished(
            figure,
            "per_class",
            "Right answers by class",
            f"Of the examples of each class, the share that version {version} answers rightly.",
        )


def _bars(axes: "Axes", names: Sequence[str], values: Sequence[float]) -> None:
    """A bar for each class, top to bottom; none where the value is NaN."""
    axes.barh(range(len(values)), values, height=0.68, color=LIGHT["blue"])
    axes.set_yticks(*thinned(names))
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")


def _accuracy(counts: AnswerCounts, wanted: int) -> float:
    right, examples = counts.by_class().get(wanted, (0, 0))
    return right / examples if examples else math.nan


def _height(rows: int) -> float:
    return min(4.6, 1.2 + 0.22 * rows)


def confusion(report: Report) -> Iterator[Drawn]:
    """What the version in use before took for what, and what the newest one does."""
    newest = report.newest
    if newest is None:
        return

    titles = {
        "before": f"Confusion before: {newest.parent or 'the version in use'}",
        "after": f"Confusion now: version {newest.version}",
    }
    for when in titles:
        if when not in newest.answers:
            continue
        counts = newest.answers[when]
        classes = sorted({each for pair in counts.confusion for each in pair})
        if len(classes) <= MOST_CLASSES:
            yield _confusion(report, when, titles[when], counts, classes)


def _confusion(
    report: Report, when: str, title: str, counts: AnswerCounts, classes: Sequence[int]
) -> Drawn:
    totals = {each: found[1] for each, found in counts.by_class().items()}
    cells = [
        [_share(counts.confusion, totals, truth, answer) for answer in classes] for truth in classes
    ]
    names = [short(report.label(each), 10) for each in classes]
    with canvas(height=3.9) as (figure, axes):
        heat(
            axes,
            cells,
            rows=names,
            columns=names,
            text=lambda value: f"{100 * value:.0f}" if value else "",
            limits=(0.0, 1.0),
        )
        axes.set_xlabel("answered")
        axes.set_ylabel("true class")
        return finished(
            figure,
            f"confusion_{when}",
            title,
            f"Of each true class (row) the share in % that got each answer (column), over "
            f"{counts.examples:,} examples. Right answers are on the diagonal.",
        )


def _share(
    found: Mapping[tuple[int, int], int], totals: Mapping[int, int], truth: int, answer: int
) -> float:
    if not totals.get(truth):
        return math.nan
    return found.get((truth, answer), 0) / totals[truth]


def calibration(report: Report) -> Iterator[Drawn]:
    """How often the newest version is right where it is so-and-so sure, and the one before."""
    newest = report.newest
    if newest is None or "after" not in newest.answers:
        return

    names = {"before": f"before ({newest.parent})", "after": f"version {newest.version}"}
    inks = {"before": LIGHT["grey"], "after": LIGHT["blue"]}
    with canvas(height=3.4) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=LIGHT["grid"], linewidth=1.4, linestyle="--")
        for when in names:
            if when not in newest.answers:
                continue
            counts = newest.answers[when]
            bins = [each for each in counts.bins if each.examples >= FEWEST]
            axes.plot(
                [each.confidence / each.examples for each in bins],
                [each.right / each.examples for each in bins],
                color=inks[when],
                marker="o",
                markersize=4,
                label=f"{names[when]}: error {100 * counts.calibration_error():.1f} points",
            )

        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("how sure the model says it is")
        axes.set_ylabel("how often it is right")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        legend_above(axes, columns=1)
        yield finished(
            figure,
            "calibration",
            "Can its probabilities be trusted?",
            "On the dashed line a model is right as often as it says. Below it the model is too "
            f"sure of itself. Answers are in {BINS} bins, of which those with fewer than {FEWEST} "
            "are not drawn; the expected calibration error counts all.",
        )


def memory(report: Report) -> Iterator[Drawn]:
    """What the memory holds of each class, and what came in, over the versions."""
    yield from _composition(
        report,
        "memory",
        {update.version: update.memory for update in report.updates},
        "What the memory keeps, by class",
        "Examples of each class that the version carries on to the next update. A class without "
        "any has nothing left to be remembered by.",
    )
    yield from _composition(
        report,
        "trained",
        {update.version: update.trained for update in report.updates},
        "What came in, by class",
        "New training examples of each class, by update; what the memory replayed is not counted.",
    )


def _composition(
    report: Report,
    name: str,
    found: Mapping[int, Sequence[int] | None],
    title: str,
    caption: str,
) -> Iterator[Drawn]:
    known = {version: counts for version, counts in found.items() if counts is not None}
    width = max((len(counts) for counts in known.values()), default=0)
    if not known or width > MOST_CLASSES:
        return

    cells = [
        [float(counts[row]) if row < len(counts) else math.nan for counts in known.values()]
        for row in range(width)
    ]
    if len(known) == 1:
        with canvas(height=_height(width)) as (figure, axes):
            _bars(axes, [report.label(row) for row in range(width)], [row[0] for row in cells])
            axes.set_xlabel("examples")
            axes.set_ylabel("class")
            yield finished(figure, name, title, caption)
        return

    with canvas(height=_height(width)) as (figure, axes):
        heat(
            axes,
            cells,
            rows=[report.label(row) for row in range(width)],
            columns=[str(version) for version in known],
            text=lambda value: f"{value:.0f}",
            limits=(0.0, max(1.0, max(max(counts) for counts in known.values()))),
        )
        axes.set_xlabel("version")
        axes.set_ylabel("class")
        yield finished(figure, name, title, caption)
