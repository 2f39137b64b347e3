"""The page in a browser: nothing is fetched, nothing complains, every figure is seen, and it fits a
phone, light and dark.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from renate.report.facts import Curve, DriftCheck
from renate.report.written import write_report
from tests.report.browser import Page, browser, find_chromium
from tests.report.made import state, stream

CHROMIUM = find_chromium()
PHONE = 390
DESK = 1280
SIZES = """[...document.querySelectorAll("figure")].map(figure => {
    const picture = figure.querySelector("svg");
    const box = picture.getBoundingClientRect();
    return {name: figure.dataset.figure, width: box.width, height: box.height,
            drawn: picture.querySelectorAll("path, image, use").length,
            texts: picture.querySelectorAll("text").length,
            left: box.left, right: box.right, top: box.top, bottom: box.bottom};
})"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert CHROMIUM is not None
    with browser(CHROMIUM) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a figure of each kind that a state and a stream have."""
    curve = Curve("", {"train_loss": [(1, 2.0), (2, 1.0)], "val_accuracy": [(1, 0.1), (2, 0.9)]})
    checks = [DriftCheck("2026-01-01", "j", 2, 0.4, 0.001, 0.05, [("x", 0.4, 0.001)], "update")]
    report = state(14, curves=[curve], drift=checks, changed=[("lr", "0.1", "0.01" * 60)])
    matrix = replace(report, matrix=stream(14).matrix)
    found = tmp_path_factory.mktemp("page")
    write_report(matrix, found)
    return found


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_seen(page: Page, folder: Path, width: int, dark: bool, tmp_path: Path) -> None:
    page.requests.clear()
    page.complaints.clear()
    page.open(folder / "report.html", width=width, height=900, dark=dark)

    found: list[dict[str, Any]] = page.value(SIZES)
    assert len(found) > 10
    for figure in found:
        assert figure["width"] > 200, figure
        assert figure["height"] > 80, figure
        assert figure["drawn"] >= 3, figure
        assert figure["texts"] >= 2, figure
        assert figure["left"] >= 0, figure
        assert figure["right"] <= width, figure

    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.complaints == []
    fetched = [url for url in page.requests if not url.startswith("data:")]
    assert fetched == [(folder / "report.html").resolve().as_uri()]

    page.screenshot(tmp_path / "seen.png")
    seen = Image.open(tmp_path / "seen.png").convert("L")
    corner = seen.getpixel((2, 2))
    assert isinstance(corner, int)
    assert (corner < 60) is dark
    for figure in found:
        box = [figure[side] for side in ("left", "top", "right", "bottom")]
        shades = seen.crop(tuple(box)).getcolors(256) or []
        assert len(shades) > 20, f"{figure['name']} is not seen"


def test_tables_are_sorted_by_a_click(page: Page, folder: Path) -> None:
    page.open(folder / "report.html", width=DESK, height=900, dark=False)
    page.value('document.querySelector("#versions details").open = true')
    column = '[...document.querySelectorAll("#versions tbody")][0]'
    first = f"{column}.rows[0].cells[0].textContent"
    click = '[...document.querySelectorAll("#versions th button")][{}].click()'
    assert page.value(first) == "1"
    page.value(click.format(0))
    assert page.value(first) == "1"
    page.value(click.format(0))
    assert page.value(first) == "14", "as numbers: 14 is more than 9"
    before = f"{column}.rows[13].cells[3].textContent"
    page.value(click.format(3))
    page.value(click.format(3))
    assert page.value(before) == "–", "what is missing stays last, whichever way"


def test_figures_stand_alone(page: Page, folder: Path) -> None:
    page.complaints.clear()
    page.open(folder / "figures" / "matrix.svg", width=DESK, height=900, dark=True)
    assert page.value('document.querySelector("svg").getBoundingClientRect().width') > 200
    assert page.complaints == []
