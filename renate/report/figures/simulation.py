"""Past data played through policies: how good, how often trained, and at which slice what."""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from renate.report.facts import Report, Run, Slice
from renate.report.figures.lines import effects, legend_above, line, mean_or_gap
from renate.report.figures.style import LIGHT, Drawn, canvas, colour, finished, short, thinned
from renate.report.versions import Measure
from renate.state.aliases.verdict import HOLD, PROMOTE, REJECT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 8
SMOOTHED = 4  # slices of which a line of several shows the mean
OUTCOMES = {
    PROMOTE: ("^", "green", "update, promoted"),
    HOLD: ("s", "ochre", "update, held"),
    REJECT: ("X", "red", "update, rejected"),
    None: ("^", "blue", "update"),
}


def over_slices(report: Report) -> Iterator[Drawn]:
    """The score of each slice before it was trained on, and what was decided then."""
    if not report.slices or report.measure is None:
        return

    slices = report.slices
    places = list(range(len(slices)))
    scores = [each.score for each in slices]
    known = [score for score in scores if score is not None]
    if not known:
        return

    with canvas(height=3.2, width=6.4) as (figure, axes):
        line(axes, places, scores, "score before training on it", LIGHT["grey"])
        foot = min(known) - 0.12 * (max(known) - min(known) or 1.0)
        for outcome, (marker, ink, name) in OUTCOMES.items():
            own = [
                place
                for place, each in enumerate(slices)
                if each.updated is not None and each.verdict == outcome
            ]
            if own:
                axes.scatter(
                    own, [foot] * len(own), marker=marker, s=34, color=LIGHT[ink], label=name
                )

        axes.set_xticks(*thinned([each.time[:10] for each in slices], most=7))
        axes.set_ylabel(report.measure.name)
        legend_above(axes, columns=3)
        yield finished(
            figure,
            "over_slices",
            f"{report.measure.title} of each slice, by the version in use when it came",
            "Each slice was predicted before any version was trained on it. Marks below are the "
            "updates that followed, and what the gate said of them; where there is no point, no "
            "version was in use yet.",
        )


def drift_of_slices(report: Report) -> Iterator[Drawn]:
    """How much each slice differed from what the version in use was trained on."""
    slices = report.slices
    if all(each.effect is None for each in slices):
        return

    with canvas(height=2.6, width=6.4) as (figure, axes):
        effects(axes, [(each.decision, each.effect) for each in slices])
        axes.set_xticks(*thinned([each.time[:10] for each in slices], most=7))
        legend_above(axes)
        yield finished(
            figure,
            "drift_of_slices",
            "How far was each slice from what the version in use was trained on?",
            "The largest effect that a test of drift found, 0 where none found anything. A policy "
            "may ask for an update for another reason as well: the table below has them.",
        )


def of_policies(report: Report) -> Iterator[Drawn]:
    """The same of several simulations, and what updates bought."""
    runs = [run for run in report.runs if run.slices]
    if not runs or report.measure is None:
        return

    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    yield from _compared(groups, report.measure)
    yield from _trade_off(groups, report.measure)


def _compared(groups: dict[str, list[Run]], measure: Measure) -> Iterator[Drawn]:
    first = next(iter(groups.values()))[0].slices
    with canvas(height=3.2, width=6.4) as (figure, axes):
        for number, (name, runs) in enumerate(list(groups.items())[:MOST_LINES]):
            shortest = min(len(run.slices) for run in runs)
            means = [_mean([run.slices[place] for run in runs]) for place in range(shortest)]
            line(axes, range(shortest), _smoothed(means), name, colour(number))

        axes.set_xticks(*thinned([each.time[:10] for each in first], most=7))
        axes.set_ylabel(measure.name)
        legend_above(axes)
        left_out = ""
        if len(groups) > MOST_LINES:
            left_out = f" The first {MOST_LINES} of {len(groups)} are drawn."
        yield finished(
            figure,
            "policies",
            f"{measure.title} of the version in use, over time",
            f"Before each slice was trained on; the mean of the last {SMOOTHED} slices, and of "
            f"several seeds.{left_out}",
        )


def _mean(slices: Sequence[Slice]) -> float:
    known = [each.score for each in slices if each.score is not None]
    return mean_or_gap(known)


def _smoothed(values: Sequence[float]) -> list[float]:
    found = []
    for place in range(len(values)):
        own = [v for v in values[max(0, place + 1 - SMOOTHED) : place + 1] if not math.isnan(v)]
        found.append(mean_or_gap(own))
    return found


def _trade_off(groups: dict[str, list[Run]], measure: Measure) -> Iterator[Drawn]:
    score = f"prequential_{measure.name}"
    points = {
        name: (
            fmean(run.metrics["updates"] for run in runs),
            fmean(run.metrics[score] for run in runs),
        )
        for name, runs in groups.items()
        if all({"updates", score} <= run.metrics.keys() for run in runs)
    }
    if len(points) < 2:
        return

    with canvas(height=3.4, width=6.4) as (figure, axes):
        for number, (name, (updates, value)) in enumerate(points.items()):
            axes.scatter([updates], [value], s=48, color=colour(number), zorder=3)
            _name(axes, updates, value, name)

        axes.set_xlabel("updates")
        axes.set_ylabel(f"mean {measure.name}")
        axes.margins(x=0.18, y=0.16)
        yield finished(
            figure,
            "trade_off",
            "What updates buy",
            "How often each trained, and how good its version in use was on average. Up and to the "
            "left is better."
            if measure.mode == "max"
            else "How often each trained, and what its version in use scored on average.",
        )


def _name(axes: "Axes", x: float, y: float, name: str) -> None:
    axes.annotate(
        short(name, 30),
        (x, y),
        xytext=(6, 4),
        textcoords="offset points",
        fontsize=7.5,
        color=LIGHT["muted"],
    )
