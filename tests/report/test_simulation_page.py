"""A simulation's page, from the rows that it leaves."""

from dataclasses import replace
from pathlib import Path

import pytest

from renate.errors import JobError
from renate.jobs.reporting.simulations import FILE, slices_of
from renate.report import sections
from renate.report.facts import COMPARISON, SIMULATION, Report, Run
from renate.report.figures import simulation
from renate.report.first_lines.headline import headline
from renate.report.versions import Measure
from renate.tuning.base import COMPLETED
from tests.report.made import bare

HEAD = (
    "slice,time,examples,score,errors,version,decision,reasons,updated,verdict,verdict_reasons,"
    "in_use,seconds"
)
ROWS = [
    "1,2024-01-08T00:00:00+00:00,100,,,,update,first,1,promote,the first version,1,1.5",
    "2,2024-01-15T00:00:00+00:00,100,0.8,20,1,wait,too few,,,,1,0.0",
    '3,2024-01-22T00:00:00+00:00,100,0.6,40,1,update,"drift, found",2,reject,forgot too much,1,2.5',
    "4,2024-01-29T00:00:00+00:00,100,0.7,30,1,update,drift,3,promote,gained,3,2.0",
]


def folder(tmp_path: Path, *rows: str, head: str = HEAD) -> Path:
    (tmp_path / FILE).write_text("\n".join([head, *rows, ""]))
    return tmp_path


def simulated(tmp_path: Path) -> Report:
    slices = slices_of(folder(tmp_path, *ROWS))
    metrics = {"prequential_accuracy": 0.7, "updates": 2.0, "training_seconds": 4.5}
    return replace(bare(1), kind=SIMULATION, slices=slices, metrics=metrics, updates=[], used=3)


def test_what_happened_is_on_the_page(tmp_path: Path) -> None:
    report = simulated(tmp_path)
    assert [each.score for each in report.slices] == [None, 0.8, 0.6, 0.7]
    said = {line.about: line.text for line in headline(report)}
    assert said == {
        "Result": "Accuracy was 70.0 % on average over 3 slices, each before any version was "
        "trained on it.",
        "Trained": "2 updates after the first version, 4.5 seconds of training.",
        "Kept out": "The gate rejected what slice 3 made: forgot too much.",
        "In use at the end": "Version 3.",
    }
    found = {part.name: part for part in sections.sections(report)}
    assert [drawn.name for drawn in found["slices"].figures] == ["over_slices"]
    svg = found["slices"].figures[0].svg
    assert "update, rejected" in svg
    assert "update, promoted" in svg
    table = found["slices"].tables[0]
    assert [cell.text for cell in table.rows[0]][3] == "–", "not scored is not 0"
    assert [cell.text for cell in table.rows[2]][-1] == "drift, found; forgot too much"


def test_drift_is_on_the_page_where_somebody_looked(tmp_path: Path) -> None:
    effects = ["", "0.0", "0.42", ""]
    rows = [f"{row},{effect}" for row, effect in zip(ROWS, effects, strict=True)]
    slices = slices_of(folder(tmp_path, *rows, head=f"{HEAD},effect"))
    assert [each.effect for each in slices] == [None, 0.0, 0.42, None]
    report = replace(simulated(tmp_path), slices=slices)
    said = {line.about: line.text for line in headline(report)}
    assert said["Detected"] == (
        "Drift was found in 1 of the 2 slices that were looked at, the most in slice 3 "
        "(effect 0.42)."
    )
    found = {part.name: part for part in sections.sections(report)}["slices"]
    assert [drawn.name for drawn in found.figures] == ["over_slices", "drift_of_slices"]
    assert "no update was due" in found.figures[1].svg
    assert [cell.text for cell in found.tables[0].rows[0]][-2] == "–"


def test_policies_side_by_side(tmp_path: Path) -> None:
    slices = slices_of(folder(tmp_path, *ROWS))
    runs = [
        Run(
            f"policy={name} seed={seed}",
            f"policy={name}",
            COMPLETED,
            {"prequential_accuracy": score + seed / 1000, "updates": updates},
            slices=slices,
        )
        for name, score, updates in (("never", 0.5, 0.0), ("drift", 0.7, 2.0))
        for seed in (0, 1)
    ]
    report = Report(COMPARISON, "c", "c", measure=Measure("accuracy", "max"), runs=runs)
    assert [drawn.name for drawn in simulation.of_policies(report)] == ["policies", "trade_off"]
    best = headline(report)[0]
    assert best.about == "Best"
    assert best.text.startswith("policy=drift has prequential_accuracy 0.7005 ± ")


@pytest.mark.parametrize(
    ("row", "head", "message"),
    [
        ("x,t,1,,,,wait,,,,,,0", HEAD, "line 2: slice is 'x', expected int"),
        ("1,t,1,high,,,wait,,,,,,0", HEAD, "line 2: score is 'high', expected float"),
        ("1,t,1,,,,,,,,,,0", HEAD, "line 2: decision is empty"),
        ("1,t,1", "slice,time,examples", "line 2: it lacks the column 'score'"),
    ],
)
def test_a_strange_file(row: str, head: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=message):
        slices_of(folder(tmp_path, row, head=head))


def test_a_job_that_was_none(tmp_path: Path) -> None:
    assert slices_of(tmp_path) == []
