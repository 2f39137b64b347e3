"""A sweep: how trials learned, which values they tried, and which keys mattered."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from renate.extras import load
from renate.report.facts import Tuning
from renate.report.figures.heat import scale_beside, shades
from renate.report.figures.lines import legend_above
from renate.report.figures.style import EXTRA, LIGHT, WHO, Drawn, canvas, finished, short
from renate.report.importance import Importance
from renate.tuning.base import COMPLETED, STOPPED
from renate.tuning.space import Domain
from renate.tuning.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_AXES = 7
MOST_CHOICES = 8  # of a key that are named at its axis


def learning_curves(tuning: Tuning) -> Iterator[Drawn]:
    """The objective of each trial, step by step."""
    curves = [trial for trial in tuning.trials if len(trial.curve) > 0]
    if not curves:
        return

    with canvas(height=3.1) as (figure, axes):
        told: set[str] = set()
        for trial in curves:
            _curve(axes, trial, tuning, told)

        axes.set_xlabel(tuning.unit)
        axes.set_ylabel(tuning.metric)
        legend_above(axes, columns=4)
        yield finished(
            figure,
            "learning_curves",
            "How the trials learned",
            "A line for each trial. A cross is where one was stopped because others were ahead of "
            "it; the winner is drawn bold.",
        )


def _curve(axes: "Axes", trial: Trial, tuning: Tuning, told: set[str]) -> None:
    is_best = tuning.best is not None and trial.id == tuning.best.id
    kind = "the winner" if is_best else trial.status
    looks = {
        "the winner": {"color": LIGHT["green"], "linewidth": 2.6, "zorder": 4},
        COMPLETED: {"color": LIGHT["blue"], "linewidth": 1.3, "alpha": 0.75, "zorder": 3},
        STOPPED: {"color": LIGHT["grey"], "linewidth": 1.1, "alpha": 0.8, "zorder": 2},
    }
    look: dict[str, Any] = looks.get(kind, {"color": LIGHT["red"], "linewidth": 1.1})
    label = "_" if kind in told else kind
    told.add(kind)
    steps = [step for step, _ in trial.curve]
    values = [value for _, value in trial.curve]
    marker = "o" if len(steps) == 1 else ""
    axes.plot(steps, values, label=label, marker=marker, markersize=3, **look)
    if trial.status == STOPPED:
        axes.plot(steps[-1:], values[-1:], marker="x", markersize=5, color=LIGHT["red"], label="_")


def parallel_coordinates(tuning: Tuning, importance: Importance | None) -> Iterator[Drawn]:
    """Which values trials tried, an axis for each key, and what came of it."""
    keys = [key for key, domain in tuning.space.domains.items() if domain.size > 1]
    if importance is not None:
        order = {key: place for place, key in enumerate(importance.shares)}
        keys.sort(key=lambda key: order.get(key, len(order)))
    keys = keys[:MOST_AXES]
    trials = [trial for trial in tuning.trials if trial.value is not None and trial.twin is None]
    values = [trial.value for trial in trials if trial.value is not None]
    if not keys or len(trials) < 2:
        return

    cm = load("matplotlib.cm", EXTRA, WHO)
    colors = load("matplotlib.colors", EXTRA, WHO)
    low = min(values)
    high = max(max(values), low + 1e-12)
    mapped = cm.ScalarMappable(colors.Normalize(low, high), shades(tuning.mode))
    better_last = sorted(
        trials, key=lambda trial: float(trial.value or 0), reverse=tuning.mode == "min"
    )
    with canvas(height=3.2) as (figure, axes):
        for trial in better_last:
            _across(axes, trial, keys, tuning, mapped)

        for place, key in enumerate(keys):
            axes.axvline(place, color=LIGHT["grey"], linewidth=0.9, zorder=1)
            _ends(axes, place, tuning.space.domains[key])

        axes.set_xticks(range(len(keys)), [short(key.rpartition(".")[2], 14) for key in keys])
        axes.set_xlim(-0.25, len(keys) - 0.4)
        axes.set_ylim(-0.1, 1.12)
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        scale_beside(axes, mapped, lambda value: f"{value:.3g}")
        yield finished(
            figure,
            "parallel_coordinates",
            "Which values were tried, and what came of them",
            f"Each line is a trial and crosses every axis at the value it tried; its colour is "
            f"{tuning.metric}, stronger is better. Trials that were stopped early are dashed.",
        )


def _across(axes: "Axes", trial: Trial, keys: Sequence[str], tuning: Tuning, mapped: Any) -> None:
    places = [_place(tuning.space.domains[key], trial.config.get(key)) for key in keys]
    is_best = tuning.best is not None and trial.id == tuning.best.id
    axes.plot(
        range(len(keys)),
        places,
        color=mapped.to_rgba(trial.value),
        linewidth=2.6 if is_best else 1.2,
        linestyle="--" if trial.status == STOPPED else "-",
        marker="o" if len(keys) == 1 else "",
        zorder=3,
    )


def _place(domain: Domain, text: str | None) -> float:
    """Where a value stands between the ends of its axis, 0 to 1; NaN where it is left out."""
    if text is None:
        return math.nan
    try:
        value = domain.number(text)
    except ValueError:
        return math.nan

    if domain.kind == "choice":
        return value / max(1, len(domain.choices) - 1)
    if domain.high == domain.low:
        return 0.5
    if domain.log:
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return (value - domain.low) / (domain.high - domain.low)


def _ends(axes: "Axes", place: int, domain: Domain) -> None:
    if domain.kind == "choice" and len(domain.choices) <= MOST_CHOICES:
        named = [(_place(domain, each), short(each, 12)) for each in domain.choices]
    elif domain.kind == "choice":
        named = []
    else:
        named = [(-0.07, f"{domain.low:.3g}"), (1.07, f"{domain.high:.3g}")]
    for height, text in named:
        axes.text(
            place + 0.03,
            height,
            text,
            fontsize=7.5,
            color=LIGHT["muted"],
            va="center",
            zorder=5,
        )


def importance_bars(importance: Importance | None, metric: str) -> Iterator[Drawn]:
    """Which keys mattered."""
    if importance is None:
        return

    names = [*importance.shares][:MOST_AXES][::-1]
    with canvas(height=0.9 + 0.28 * len(names)) as (figure, axes):
        axes.barh(
            range(len(names)),
            [importance.shares[name] for name in names],
            color=LIGHT["blue"],
            height=0.62,
        )
        axes.set_yticks(range(len(names)), [short(name, 28) for name in names])
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        when = f"after step {importance.step}" if importance.step is not None else "at their ends"
        yield finished(
            figure,
            "importance",
            "Which keys mattered",
            f"By how much predictions of {metric} get worse when a key's values are shuffled, as a "
            f"share of all (random forest, {importance.trials} trials compared {when}). It says "
            "what mattered within this space, not beyond it.",
        )


def front(tuning: Tuning) -> Iterator[Drawn]:
    """Two objectives against each other."""
    if not tuning.secondary:
        return

    second = next(iter(tuning.secondary))
    points = [
        (trial, trial.value, trial.secondary[0])
        for trial in tuning.trials
        if trial.value is not None and trial.secondary and trial.twin is None
    ]
    best = sorted(((value, other) for trial, value, other in points if trial.id in tuning.front))
    if len(points) < 2:
        return

    with canvas(height=3.1) as (figure, axes):
        rest = [(value, other) for trial, value, other in points if trial.id not in tuning.front]
        if rest:
            axes.scatter(
                [value for value, _ in rest],
                [other for _, other in rest],
                s=24,
                color=LIGHT["grey"],
                label="other trials",
            )
        if best:
            axes.plot(
                [value for value, _ in best],
                [other for _, other in best],
                color=LIGHT["green"],
                marker="o",
                markersize=5,
                label="Pareto front",
            )
        axes.set_xlabel(f"{tuning.metric} ({tuning.mode})")
        axes.set_ylabel(f"{second} ({tuning.secondary[second]})")
        legend_above(axes)
        yield finished(
            figure,
            "pareto",
            "What can be had for what",
            "Of the trials on the front none is beaten by another one in both objectives.",
        )
