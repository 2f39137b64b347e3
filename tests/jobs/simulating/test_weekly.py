"""The year of experiment=weekly in small: what is decided, and why."""

import json
from pathlib import Path

import pytest

from renate.jobs.simulating.slice_row import SliceRow, read_rows
from tests.command import renate as command

YEAR = (
    *("experiment=weekly", "scenario.weeks=16", "scenario.rotation_weeks=[5,11]"),
    *("scenario.rotation_per_week=4", "scenario.new_classes_at=[[13,[8,9]]]"),
    *("scenario.mislabelled_weeks=[14]", "job.first_slices=3", "trainer.threads=1"),
)
SEEDS = 5


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> list[list[SliceRow]]:
    """The rows of each seed."""
    folder = tmp_path_factory.mktemp("years")
    seeds = f"seed={','.join(map(str, range(SEEDS)))}"
    command(*YEAR, seeds, cwd=folder, timeout=900, RENATE_DATA=str(data_dir))
    jobs = [path.parent for path in (folder / "runs").glob("*/job.json")]
    found = {
        json.loads((job / "job.json").read_text())["overrides"][-1]: read_rows(job)
        for job in jobs
        if not job.is_symlink()
    }
    return [found[f"seed={seed}"] for seed in range(SEEDS)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_decisions_of_a_year(seed: int, years: list[list[SliceRow]]) -> None:
    rows = {row.slice: row for row in years[seed]}
    assert [*rows] == [*range(1, 17)]
    # The first version; then weeks like those that it knows
    assert [rows[number].decision for number in (1, 2, 3)] == ["wait", "wait", "update"]
    # Images turn
    assert any(rows[number].decision == "update" for number in range(5, 12))
    # Two classes come that nobody has seen, and the week after has wrong labels
    assert rows[13].decision == "update"
    assert "labels: effect" in rows[13].reasons
    assert rows[14].decision == "update"
    assert (rows[14].score or 0.0) < 0.2
    assert rows[14].verdict == "reject"
    assert "forgetting" in str(rows[14].verdict_reasons)
    assert rows[15].version == rows[14].version == rows[13].updated
    # Every other update is promoted, and most weeks need none
    others = [row for row in rows.values() if row.updated and row.slice != 14]
    assert [row.verdict for row in others] == ["promote"] * len(others)
    assert len(others) <= 10
    assert (rows[16].score or 0.0) > (rows[13].score or 0.0)
