"""The year of experiment=weekly in small: what is decided, and why."""

import json
from pathlib import Path

import pytest

from renate.jobs.simulating.slice_row import SliceRow, read_rows
from tests.command import renate as command

YEAR = (
    *("experiment=weekly", "scenario.weeks=12", "scenario.rotation_weeks=[4,8]"),
    *("scenario.rotation_per_week=6", "scenario.new_classes_at=[[9,[8,9]]]"),
    *("scenario.mislabelled_weeks=[10]", "job.first_slices=3", "trainer.threads=1"),
    *("trainer.max_epochs=8", "memory.capacity=500"),
)
SEEDS = 5


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> list[list[SliceRow]]:
    """The rows of each seed."""
    folder = tmp_path_factory.mktemp("years")
    seeds = f"seed={','.join(map(str, range(SEEDS)))}"
    command(*YEAR, seeds, cwd=folder, RENATE_DATA=str(data_dir))
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
    assert [*rows] == [*range(1, 13)]
    # The first version; then weeks like those that it knows
    assert [rows[number].decision for number in (1, 2, 3)] == ["wait", "wait", "update"]
    # Images turn
    assert any(rows[number].decision == "update" for number in range(4, 9))
    # Two classes come that nobody has seen, and the week after has wrong labels
    assert rows[9].decision == "update"
    assert "labels: effect" in rows[9].reasons
    assert rows[10].decision == "update"
    assert (rows[10].score or 0.0) < 0.2
    assert rows[10].verdict == "reject"
    assert "forgetting" in str(rows[10].verdict_reasons)
    assert rows[11].version == rows[10].version == rows[9].updated
    # Every other update is promoted, and most weeks need none
    others = [row for row in rows.values() if row.updated and row.slice != 10]
    assert [row.verdict for row in others] == ["promote"] * len(others)
    assert len(others) <= 8
    assert (rows[12].score or 0.0) > (rows[9].score or 0.0)
