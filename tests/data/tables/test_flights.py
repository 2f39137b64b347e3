"""A year's flights by weeks, as docs/how_to/tables.md has them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import ROOT
from tests.test_docs import run_file

PAGE = ROOT / "docs" / "how_to" / "tables.md"


def commands() -> list[str]:
    block = re.findall(r"```text\n(python my_flights.py.*?)```", PAGE.read_text(), re.DOTALL)
    found: list[str] = block[0].strip().splitlines()
    return found


def measured(url: str, version: int) -> dict[str, Any]:
    state = State(url)
    found = json.loads(bytes(state.read(state.manifest(version), "metrics.json")))
    after: dict[str, Any] = found["after"]["test"]
    return after


@pytest.mark.slow
def test_three_weeks_of_flights(workdir: Path, data_dir: Path) -> None:
    (workdir / "flights.parquet").symlink_to(data_dir / "nycflights13" / "flights.parquet")
    said = []
    for line in commands():
        words = line.split()
        if words[0] == "python":
            run_file(PAGE, workdir, words[1:])
            continue
        more = []
        if "arr_delay" not in line and "evaluate" not in line:
            more = ["metrics=classification_detailed"]
        said.append(command(*words[1:], *more, cwd=workdir))

    assert "rows have no target: left out" in said[0].stderr
    assert "3 categories" in said[0].stderr
    for version in (1, 2, 3):
        assert measured("./late", version)["auroc"] > 0.6, "better than chance"
        minutes = measured("./minutes", version)
        assert minutes["r2"] > 0.0, "better than the mean"
        assert minutes["mae"] < 40

    evaluated = re.search(r"test_accuracy +([\d.]+)", said[-1].stdout)
    assert evaluated is not None
    after = measured("./late", 3)["accuracy"]
    assert float(evaluated[1]) == pytest.approx(after, abs=1e-4)
