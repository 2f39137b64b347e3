"""Lines, marks and legends, alike in all figures."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from renate.report.figures.style import LIGHT, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 30  # points beyond which a line has no markers
LONGEST_NAME = 34


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
