"""The year of experiment=weekly, as users play it: what is decided, why, and what that is worth."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest

from renate.jobs.directory import JobDirectory
from renate.jobs.reporting.assembled import report_of_job
from renate.jobs.simulating.slice_row import SliceRow, read_rows
from renate.report.first_lines.headline import headline
from tests.command import renate as command

WEEKS = 52
FIRST = 4  # weeks that the first version is trained on
TURNING = range(12, 32)
NEW_CLASSES = 24
SPOILT = 25


@dataclass(frozen=True)
class Year:
    """A year that was played.

    Attributes:
        job: Its directory.
        rows: Week -> what happened.
        score: The mean accuracy of weeks before they are trained on.
    """

    job: Path
    rows: dict[int, SliceRow]
    score: float


@pytest.fixture(
    scope="module",
    params=[pytest.param(1, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.by_hand)],
    ids="seeds {}".format,
)
def years(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, data_dir: Path
) -> dict[str, list[Year]]:
    """Those of each seed, by the experiment's own policy and by weekly retraining."""
    seeds = range(request.param)
    folder = tmp_path_factory.mktemp("years")
    swept = (
        "policy=drift_performance_or_amount,weekly",
        f"seed={','.join(map(str, seeds))}",
    )
    line = ("experiment=weekly", "trainer.threads=1", *swept)
    command(*line, cwd=folder, timeout=1500, RENATE_DATA=str(data_dir))

    found: dict[str, dict[str, Year]] = {}
    for path in (folder / "runs").glob("*/job.json"):
        job = path.parent
        if job.is_symlink():
            continue
        overrides = json.loads(path.read_text())["overrides"]
        policy, seed = (next(o for o in overrides if o.startswith(k)) for k in ("policy", "seed="))
        result = json.loads((job / "result.json").read_text())
        rows = {row.slice: row for row in read_rows(job)}
        year = Year(job, rows, result["metrics"]["prequential_accuracy"])
        found.setdefault(policy.partition("=")[2], {})[seed] = year

    return {
        policy: [by_seed[f"seed={seed}"] for seed in seeds] for policy, by_seed in found.items()
    }


def test_a_year(years: dict[str, list[Year]]) -> None:
    """One test, as playing the years is what takes the time."""
    for year in years["drift_performance_or_amount"]:
        check_decisions(year.rows)

    check_worth(years)
    check_page(years["drift_performance_or_amount"][0])


def check_decisions(rows: dict[int, SliceRow]) -> None:
    assert [*rows] == [*range(1, WEEKS + 1)]
    # There is an update where the policy says so, and only there
    for row in rows.values():
        assert (row.updated is not None) == (row.decision == "update"), row
    assert [rows[week].decision for week in range(1, FIRST + 1)] == ["wait"] * 3 + ["update"]

    # Images turn: that is found within a few weeks, and it is updated on
    calm = range(FIRST + 1, TURNING.start)
    assert sum(bool(rows[week].effect) for week in calm) <= 2
    assert any(rows[week].effect for week in range(TURNING.start, TURNING.start + 4))
    assert any(rows[week].decision == "update" for week in TURNING if week < NEW_CLASSES)
    # Two classes come that nobody has seen, and the week after has wrong labels
    assert rows[NEW_CLASSES].decision == "update"
    assert "labels: effect" in rows[NEW_CLASSES].reasons
    assert rows[SPOILT].decision == "update"
    assert (rows[SPOILT].score or 0.0) < 0.2
    assert rows[SPOILT].verdict == "reject"
    assert "forgetting" in str(rows[SPOILT].verdict_reasons)
    assert rows[SPOILT + 1].version == rows[SPOILT].version == rows[NEW_CLASSES].updated

    # Every other update is promoted, and at least every other week needs none
    others = [row for row in rows.values() if row.updated and row.slice != SPOILT]
    assert {row.slice: row.verdict for row in others} == {row.slice: "promote" for row in others}
    assert len(others) - 1 <= (WEEKS - FIRST) // 2
    assert fmean(rows[week].score or 0.0 for week in range(49, 53)) > (
        rows[NEW_CLASSES].score or 0.0
    )


def check_worth(years: dict[str, list[Year]]) -> None:
    """As much as weekly retraining, at half its updates or fewer, behind the same gate."""
    own, weekly = (fmean(year.score for year in years[name]) for name in sorted(years))
    assert own >= 0.98 * weekly
    assert all(
        sum(row.decision == "update" for row in year.rows.values()) == WEEKS - FIRST + 1
        for year in years["weekly"]
    )


def check_page(year: Year) -> None:
    """Its page tells all of it."""
    said = {line.about: line.text for line in headline(report_of_job(JobDirectory(year.job)))}
    assert "on average over 48 slices" in said["Result"]
    assert f"slice {NEW_CLASSES} " in said["Detected"]
    assert f"The gate rejected what slice {SPOILT} made: forgetting on" in said["Kept out"]
    assert "1 rejected" in said["History"]
