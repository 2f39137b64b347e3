"""Lines, marks and legends, alike in all figures."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from renate.report.figures.style import LIGHT, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 30  # points beyond which a line has no markers
LONGEST_NAME = 34
# What was decided after a look at new data -> its colour, and what it is called
DECISIONS = (
    ("update", "orange", "an update was due"),
    ("wait", "blue", "no update was due"),
    (None, "grey", "nobody asked for a decision"),
)


def line(
    axes: "Axes",
    places: Sequence[float],
    values: Sequence[float | None],
    name: str,
    ink: str,
) -> None:
    """Draw a line with a gap wherever a value is missing."""
    known = _with_gaps(values)
    marker = "o" if len(places) <= MANY else ""
    label = short(name, LONGEST_NAME)
    axes.plot(places, known, color=ink, label=label, marker=marker, markersize=4)


def mean_or_gap(values: Sequence[float]) -> float:
    """Return a mean to be drawn; of nothing nan, which leaves a gap."""
    if not values:
        return math.nan
    return math.fsum(values) / len(values)


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    """Values to be drawn, nan where one is missing."""
    return [math.nan if value is None else value for value in values]


def marks(axes: "Axes", places: Sequence[float], values: Sequence[float | None], name: str) -> None:
    """Draw a ring for each value that there is."""
    known = _with_gaps(values)
    axes.plot(
        places,
        known,
        linestyle="",
        marker="o",
        markersize=6 if len(places) <= MANY else 2.4,
        zorder=1,
        markerfacecolor="none",
        markeredgecolor=LIGHT["grey"],
        label=name,
    )


def effects(axes: "Axes", looks: Sequence[tuple[str | None, float | None]]) -> None:
    """Draw a stem for each look at new data that found how far they have moved.

    Args:
        axes: To draw on.
        looks: (decision, effect) of each, in their order; a gap where there is no effect.
    """
    for decision, ink, name in DECISIONS:
        own = [(place, look[1]) for place, look in enumerate(looks) if look[0] == decision]
        known = {place: effect for place, effect in own if effect is not None}
        if known:
            heights = list(known.values())
            axes.vlines(list(known), 0, heights, color=LIGHT[ink], linewidth=1.6)
            axes.scatter(list(known), heights, s=26, color=LIGHT[ink], label=name, zorder=3)

    axes.set_ylim(bottom=0)
    axes.set_ylabel("effect")


def legend_above(axes: "Axes", columns: int = 2) -> None:
    """Name what is drawn, above it."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=1.4,
        columnspacing=1.2,
    )
