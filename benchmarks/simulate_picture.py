"""What updates buy, as a picture beside simulate.py's table: a panel for each updater."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import RESULTS

from renate.report.figures.style import Drawn, canvas, colour, finished

Point = tuple[Sequence[float], Sequence[float]]  # updates and scores of the seeds
WIDTH = 9.0  # inches
HEIGHT = 3.9
MARKS = "oDs^vPX*"


def picture(name: str, metric: str, found: Mapping[tuple[str, str], Point]) -> Path:
    """Draw how often each policy trained and how good the version in use was, and keep it in
    results/simulate_<name>.svg.

    Args:
        name: Of the year.
        metric: What its weeks are scored by.
        found: (policy, updater) -> updates and scores, a value for each seed.

    Returns:
        The file.
    """
    drawn = _drawn(name, metric, found)
    file = RESULTS / f"simulate_{name}.svg"
    file.write_text(drawn.standalone_svg + "\n")
    return file


def _drawn(name: str, metric: str, found: Mapping[tuple[str, str], Point]) -> Drawn:
    policies = list(dict.fromkeys(policy for policy, _ in found))
    updaters = list(dict.fromkeys(updater for _, updater in found))
    with canvas(height=HEIGHT, width=WIDTH) as (figure, axes):
        axes.remove()
        panels = figure.subplots(1, len(updaters), sharex=True, sharey=True, squeeze=False)[0]
        for updater, panel in zip(updaters, panels, strict=True):
            panel.set_title(updater)
            panel.set_xlabel("updates")
            panel.grid(visible=True, axis="y")
            panel.spines[["top", "right"]].set_visible(False)
            panel.margins(x=0.08, y=0.08)
            for number, policy in enumerate(policies):
                if (policy, updater) in found:
                    _mark(panel, policy, found[policy, updater], number)

        panels[0].set_ylabel(f"mean {metric} before training on it")
        drawn, names = panels[0].get_legend_handles_labels()
        figure.legend(drawn, names, loc="outside upper center", ncols=len(names))
        return finished(
            figure,
            f"simulate_{name}",
            f"Mean {metric} of the weeks against the number of updates, by policy and updater",
            "",
        )


def _mark(panel: Any, policy: str, point: Point, number: int) -> None:
    """A policy's mean, and its seeds as small dots."""
    updates, scores = point
    ink = colour(number)
    panel.scatter(updates, scores, s=7, color=ink, alpha=0.6, linewidths=0)
    panel.scatter(
        [statistics.fmean(updates)],
        [statistics.fmean(scores)],
        s=46,
        marker=MARKS[number % len(MARKS)],
        color=ink,
        alpha=0.85,
        label=policy,
        zorder=3,
    )
