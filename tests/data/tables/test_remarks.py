"""What is said of values that training hadn't: in sentences."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from renate.data.base import Known
from renate.data.kept.encoders import KeptEncoder
from renate.errors import ConfigError
from tests.data.scenes import as_kept, files

pytestmark = pytest.mark.usefixtures("workdir")


def write(path: str, cities: list[str], numbers: list[str], days: list[str]) -> None:
    rows = zip(cities, numbers, days, "abababab", strict=False)
    Path(path).write_text("city,x,day,label\n" + "\n".join(map(",".join, rows)))


def known() -> Known:
    write("1.csv", ["Kiel", "Bonn"] * 4, list("12345678"), [f"2026-01-0{n}" for n in range(1, 9)])
    data = files("1.csv").load(seed=0)
    assert data.encoder is not None
    return replace(as_kept(data), encoder=KeptEncoder.of(data.encoder))


def said(cities: list[str], numbers: list[str], days: list[str]) -> str:
    before = known()
    write("2.csv", cities, numbers, days)
    return " ".join(files("2.csv").load(seed=0, known=before).notes)


@pytest.mark.parametrize(
    ("city", "expected"),
    [
        (["Wien"] * 8, "column 'city': 'Wien' wasn't there in training: taken as 'other'"),
        (["Wien", "Ulm"] * 4, "column 'city': 'Ulm', 'Wien' weren't there in training"),
    ],
)
def test_categories(city: list[str], expected: str) -> None:
    assert expected in said(city, list("12345678"), ["2026-01-01"] * 8)


@pytest.mark.parametrize(
    ("gone", "number", "date"),
    [
        (1, "1 missing value is taken as 4.5, the median", "1 missing date is taken as 2026"),
        (2, "2 missing values are taken as 4.5, the median", "2 missing dates are taken as 2026"),
    ],
)
def test_missing_values(gone: int, number: str, date: str) -> None:
    numbers = [*list("12345678")[gone:], *[""] * gone]
    assert number in said(["Kiel"] * 8, numbers, ["2026-01-01"] * 8)
    days = ["2026-01-01"] * (8 - gone) + [""] * gone
    assert date in said(["Kiel"] * 8, list("12345678"), days)


def test_settings_that_the_state_or_the_class_has_not() -> None:
    before = known()
    assert before.encoder is not None
    settings = json.loads(json.dumps(before.encoder.settings))
    given = settings.pop("unseen")
    older = replace(before, encoder=replace(before.encoder, settings=settings))
    with pytest.raises(ConfigError, match=f"has unseen='{given}', that of the state has no unseen"):
        files("1.csv").load(seed=0, known=older)

    later = {**before.encoder.settings, "shiny": 3}
    newer = replace(before, encoder=replace(before.encoder, settings=later))
    with pytest.raises(
        ConfigError, match="has shiny=3, which its class here doesn't know: was the"
    ):
        files("1.csv").load(seed=0, known=newer)
