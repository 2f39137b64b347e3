"""A report as files: the page, its figures, a model card."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from renate.errors import JobError
from renate.extras import load
from renate.files import replacing
from renate.report import tables
from renate.report.facts import Report
from renate.report.figures.style import EXTRA, WHO, Drawn, check_installed, style_sheet
from renate.report.first_lines.headline import headline
from renate.report.sections import sections

HERE = Path(__file__).parent
PAGE = "report.html"
CARD = "model_card.md"
FIGURES = "figures"
MOST_ROWS = 40  # of a table of the card
OURS = re.compile(r'data-figure="([a-z_]+)"')


def write_report(report: Report, folder: Path) -> Path:
    """Write a page, its figures as PNG and SVG, and a model card; return the page's path.

    Each file is written whole or not at all, the page last. What an earlier report has left in the
    folder and this one has no more is removed; nothing else is.

    Raises:
        ConfigError: matplotlib or Jinja2 isn't installed.
        JobError: The folder can't be written.
    """
    check_installed()
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error

    parts = sections(report)
    figures = [figure for part in parts for figure in part.figures]
    page = _rendered(
        "page.html.j2",
        report=report,
        sections=parts,
        lines=headline(report),
        colours=_as_it_is(style_sheet()),
        css=_as_it_is((HERE / "page.css").read_text()),
        script=_as_it_is((HERE / "page.js").read_text()),
        release=version("renate-cl"),
    )

    try:
        earlier = _earlier(folder)
        for figure in figures:
            _write_figure(folder / FIGURES, figure)
        _write(folder / CARD, card(report).encode())
        _write(folder / PAGE, page.encode())
        for name in earlier - {figure.name for figure in figures}:
            for suffix in (".svg", ".png"):
                (folder / FIGURES / f"{name}{suffix}").unlink(missing_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error

    return folder / PAGE


def _refused(folder: Path, error: OSError) -> JobError:
    return JobError(f"{folder}: can't write the report: {error.strerror or error}")


def card(report: Report) -> str:
    """Return a model card, Markdown."""
    listed = [
        *tables.tests(report),
        *tables.stream_metrics(report),
        *tables.classes(report),
        *tables.changed(report),
    ]
    text = _rendered(
        "card.md.j2",
        report=report,
        newest=report.newest,
        lines=headline(report),
        listed=listed,
        most=MOST_ROWS,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _rendered(template: str, **given: Any) -> str:
    jinja2 = load("jinja2", EXTRA, WHO)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"md": _markdown, "code": _code}
    rendered: str = environment.get_template(template).render(**given)
    return rendered


def _as_it_is(text: str) -> Any:
    return load("markupsafe", EXTRA, WHO).Markup(text)


def _markdown(text: object) -> str:
    """Text in which Markdown finds neither markup nor a cell's end."""
    words = re.sub(r"\s+", " ", str(text))
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", words)


def _code(text: object) -> str:
    """Text between two backquotes."""
    return re.sub(r"\s+", " ", str(text)).replace("`", "'")


def _earlier(folder: Path) -> set[str]:
    """The figures of the report that the folder holds already."""
    try:
        return set(OURS.findall((folder / PAGE).read_text()))
    except (OSError, UnicodeDecodeError):
        return set()


def _write_figure(folder: Path, figure: Drawn) -> None:
    _write(folder / f"{figure.name}.svg", figure.standalone_svg.encode())
    _write(folder / f"{figure.name}.png", figure.png)


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
