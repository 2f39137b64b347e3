"""How figures look, and how one drawing becomes SVG for a light and a dark page, and PNG."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from renate.extras import load

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXTRA = "report"
WHO = "renate report"

# A drawing uses the light colours; in SVG each becomes a variable of the page's style sheet.
LIGHT = {
    "ink": "#1b2433",
    "muted": "#5d6879",
    "grid": "#e3e7ed",
    "surface": "#fefefe",
    "blue": "#2563c9",
    "orange": "#c2600c",
    "green": "#1a8754",
    "red": "#c8323c",
    "purple": "#7a4cc4",
    "teal": "#0f7f8f",
    "ochre": "#937006",
    "grey": "#8a94a3",
}
DARK = {
    "ink": "#e8ecf3",
    "muted": "#9fabbd",
    "grid": "#323b49",
    "surface": "#171c24",
    "blue": "#79aef8",
    "orange": "#f0a35e",
    "green": "#58c892",
    "red": "#f2808a",
    "purple": "#b99bf0",
    "teal": "#56c4d4",
    "ochre": "#d6b452",
    "grey": "#768294",
}
SERIES = ("blue", "orange", "green", "purple", "red", "teal", "ochre", "grey")
WIDTH = 5.0  # inches
FONTS = "system-ui,'Segoe UI',Roboto,Helvetica,Arial,'DejaVu Sans',sans-serif"
MOST_TICKS = 12
DOTS_PER_INCH = 144  # of PNG, and of pictures within SVG
POINTS_PER_INCH = 72  # by which SVG counts


@dataclass(frozen=True)
class Drawn:
    """A figure, ready for the page and for files.

    Attributes:
        name: Of its files.
        title: What it shows.
        caption: How it is read, for people who see it for the first time.
        svg: For a page that has `style_sheet()`.
        png: For a light background.
    """

    name: str
    title: str
    caption: str
    svg: str
    png: bytes

    @property
    def standalone_svg(self) -> str:
        """The SVG as a file of its own, which is light or dark as its reader is."""
        head, _, rest = self.svg.partition(">")
        return f"{head}><style>{style_sheet()}</style>{rest}"


def style_sheet() -> str:
    """Return the colours of figures as variables, for light and dark, and their font."""
    light = ";".join(f"--{name}:{colour}" for name, colour in LIGHT.items())
    dark = ";".join(f"--{name}:{colour}" for name, colour in DARK.items())
    themes = f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f"{themes}svg text{{font-family:{FONTS}!important}}"


def check_installed() -> None:
    """Return if figures can be drawn. Raises ConfigError, which names the extra."""
    load("matplotlib", EXTRA, WHO)
    load("jinja2", EXTRA, WHO)


@contextmanager
def canvas(height: float = 2.9, width: float = WIDTH) -> Iterator[tuple["Figure", "Axes"]]:
    """Yield an empty figure with axes, in this package's style; `finished` ends it."""
    matplotlib = load("matplotlib", EXTRA, WHO)
    figures = load("matplotlib.figure", EXTRA, WHO)
    with matplotlib.rc_context(_settings()):
        figure = figures.Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="y")
        axes.set_axisbelow(True)
        yield figure, axes


def _settings() -> dict[str, Any]:
    ink = LIGHT["ink"]
    muted = LIGHT["muted"]
    return {
        "font.family": "DejaVu Sans",  # measures text; a page's own font is narrower
        "font.size": 8.5,
        "svg.fonttype": "none",
        "text.parse_math": False,  # labels may hold dollars
        "axes.edgecolor": LIGHT["grid"],
        "axes.labelcolor": muted,
        "axes.labelsize": 8.5,
        "axes.titlesize": 9,
        "axes.titlecolor": ink,
        "axes.titlelocation": "left",
        "text.color": ink,
        "xtick.color": muted,
        "ytick.color": muted,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "grid.color": LIGHT["grid"],
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
    }


def finished(figure: "Figure", name: str, title: str, caption: str) -> Drawn:
    """Return a figure as SVG and PNG; must be called within its `canvas`."""
    matplotlib = load("matplotlib", EXTRA, WHO)
    svgs = load("matplotlib.backends.backend_svg", EXTRA, WHO)
    agg = load("matplotlib.backends.backend_agg", EXTRA, WHO)
    vector = io.StringIO()
    pixels = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": name}):
        # A page has fonts of its own, which know more letters than the one that measures text
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        # Laid out once, and drawn once in each format: `savefig` would draw each twice
        figure.set_dpi(POINTS_PER_INCH)
        drawing = svgs.FigureCanvasSVG(figure)
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")

        figure.set_dpi(DOTS_PER_INCH)
        drawing.print_svg(vector, metadata={"Date": None, "Creator": None})
        figure.set_facecolor(LIGHT["surface"])
        agg.FigureCanvasAgg(figure).print_png(pixels)

    svg = _for_a_page(vector.getvalue(), name, title)
    return Drawn(name, title, caption, svg, pixels.getvalue())


def _for_a_page(svg: str, name: str, title: str) -> str:
    """An SVG without its head, with variables for colours and names that no other one has."""
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for variable, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{variable})")

    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def colour(number: int) -> str:
    """Return the colour of the n-th of several series; they repeat after eight."""
    return LIGHT[SERIES[number % len(SERIES)]]


def thinned(names: Sequence[str], most: int = MOST_TICKS) -> tuple[list[int], list[str]]:
    """Return places and texts of ticks: every one, or of many each so-and-so-many-th, with the
    first one among them.
    """
    step = max(1, -(-len(names) // most))
    places = list(range(0, len(names), step))
    return places, [short(names[place]) for place in places]


def short(text: str, longest: int = 16) -> str:
    """Return a label that leaves room for its picture."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - 1]}…"
