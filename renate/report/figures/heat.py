"""Heat maps: a colour for each cell, and its number where there is room."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from renate.extras import load
from renate.report.figures.style import EXTRA, LIGHT, WHO, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NUMBERS = 12  # rows or columns up to which cells have their numbers
# From nearly clear to opaque, so that the smallest is near the page's own colour, light or dark
STRONG = (0.145, 0.388, 0.788)
FAINTEST = 0.05
INK_ENDS = 0.6  # of the scale; on stronger colours numbers are white
WHITE = "#ffffff"
Cells = Sequence[Sequence[float]]


def shades(darker_is: str = "max") -> Any:
    """Return the colours of numbers, the best the strongest.

    Args:
        darker_is: `max`, or `min` where the smallest numbers are the strongest.
    """
    colors = load("matplotlib.colors", EXTRA, WHO)
    ends = [(*STRONG, FAINTEST), (*STRONG, 1.0)]
    if darker_is == "min":
        ends = ends[::-1]
    return colors.LinearSegmentedColormap.from_list("renate", ends)


def heat(
    axes: "Axes",
    cells: Cells,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    text: Callable[[float], str],
    limits: tuple[float, float] | None = None,
    darker_is: str = "max",
) -> None:
    """Draw cells; what is NaN stays empty. What colours stand for is beside them, unless every cell
    has its number.

    Args:
        axes: Where.
        cells: A list for each row, top to bottom.
        rows: Their names.
        columns: Names of the columns.
        text: A number in words.
        limits: What the ends of the colours stand for; None: the smallest and the largest.
        darker_is: See `shades`.
    """
    numpy = load("numpy", EXTRA, WHO)
    values = numpy.array(cells, dtype=float)
    known = values[~numpy.isnan(values)]
    low, high = limits or (float(known.min()), float(known.max()))
    if low == high:
        high = low + 1.0

    image = axes.imshow(
        values,
        cmap=shades(darker_is),
        vmin=low,
        vmax=high,
        aspect="auto",
        interpolation="nearest",
    )
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(*thinned(columns))
    axes.set_yticks(*thinned(rows))
    if max(len(rows), len(columns)) > MOST_NUMBERS:
        scale_beside(axes, image, text)
        return

    for row, line in enumerate(cells):
        for column, value in enumerate(line):
            if math.isnan(value):
                continue
            share = (value - low) / (high - low)
            strength = share if darker_is == "max" else 1 - share
            ink = LIGHT["ink"] if strength < INK_ENDS else WHITE
            axes.text(column, row, text(value), ha="center", va="center", color=ink, fontsize=7.5)


def scale_beside(axes: "Axes", image: Any, text: Callable[[float], str]) -> None:
    """Add what the colours stand for."""
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02)
    bar.outline.set_visible(False)
    # One picture: hundreds of half clear stripes would show their seams
    assert bar.solids is not None
    bar.solids.set_rasterized(True)
    bar.ax.tick_params(colors=LIGHT["muted"], labelsize=7.5)
    bar.ax.yaxis.set_major_formatter(lambda value, _: text(value))
