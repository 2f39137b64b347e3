"""A year in small: digits turn, classes appear, a week is mislabelled; what is decided, and why."""

import json

import pytest

from renate.jobs.simulating.slice_row import SliceRow, read_rows
from tests.command import renate as command

# As experiment=weekly, of twelve weeks
YEAR = (
    *("job=simulate", "data=digits", "scenario=weekly", "scenario.weeks=12"),
    *("scenario.rotation_per_week=9", "scenario.rotation_weeks=[5,8]"),
    *("scenario.new_classes_at=[[9,[8,9]]]", "scenario.mislabelled_weeks=[10]"),
    *("policy=drift_or_performance", "gate=accuracy", "model.grow=true", "job.first_slices=3"),
    *("job.window=1", "data.val_size=0.25", "trainer.max_epochs=25", "gate.min_gain=-0.05"),
    *("gate.regression.per_update=100", "gate.intervals.min_examples=20"),
    *("gate.max_slice_drop=null", "gate.max_forgetting=0.05", "gate.max_negative_flips=0.1"),
    *("optimizer=adam", "optimizer.lr=0.003", "policy.of.performance.max_drop=0.06"),
)
SEEDS = 5


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> list[list[SliceRow]]:
    """The rows of each seed."""
    folder = tmp_path_factory.mktemp("years")
    command(*YEAR, f"seed={','.join(map(str, range(SEEDS)))}", cwd=folder)
    jobs = [path.parent for path in (folder / "runs").glob("*/job.json")]
    found = {
        json.loads((job / "job.json").read_text())["overrides"][-1]: read_rows(job)
        for job in jobs
        if not job.is_symlink() and (job / "simulation.parquet").exists()
    }
    return [found[f"seed={seed}"] for seed in range(SEEDS)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_decisions_of_a_year(seed: int, years: list[list[SliceRow]]) -> None:
    rows = {row.slice: row for row in years[seed]}
    assert [*rows] == [*range(1, 13)]
    # The first version; then weeks like those that it knows
    assert [rows[number].decision for number in (1, 2, 3)] == ["wait", "wait", "update"]
    assert rows[4].decision == "wait"
    # Images turn
    assert any(rows[number].decision == "update" for number in range(5, 9))
    # Two classes that nobody has seen come, and the week after has wrong labels
    assert rows[9].decision == "update"
    assert "labels" in rows[9].reasons
    assert rows[10].decision == "update"
    assert (rows[10].score or 0) < 0.2
    assert rows[10].verdict == "reject"
    assert "forgetting" in str(rows[10].verdict_reasons)
    assert rows[11].version == rows[10].version == rows[9].updated
    others = [row for row in rows.values() if row.updated and row.slice != 10]
    assert [row.verdict for row in others] == ["promote"] * len(others)
