"""The table that several simulations end with."""

import io

from rich.console import Console

from renate.jobs.records import JobResult
from renate.jobs.simulating.slice_row import SliceRow
from renate.jobs.simulating.summary import Costs, summary_of
from renate.launchers.terminal.simulations import of_simulations


def result(score: float, updates: float, mode: str = "max") -> JobResult:
    metrics = {"prequential_accuracy": score, "updates": updates, "training_seconds": 2.5}
    return JobResult("completed", metrics=metrics, metric="accuracy", mode=mode)


def printed(groups: dict[str, list[JobResult]]) -> list[str]:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(of_simulations(groups))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_what_no_other_beats_is_marked() -> None:
    groups = {
        "policy=never": [result(0.5, 0)],
        "policy=weekly": [result(0.8, 50)],
        "policy=drift": [result(0.9, 10), result(0.72, 12)],
        "policy=monthly": [result(0.7, 12)],
    }
    lines = printed(groups)
    assert [line.split()[0:2] for line in lines[1:5]] == [
        ["*", "policy=drift"],
        ["policy=weekly", "1"],
        ["policy=monthly", "1"],
        ["*", "policy=never"],
    ]
    assert "0.8100 ± 0.1273" in lines[1]
    assert "11.0 ± 1.4" in lines[1]
    least = printed(
        {k: [result(r[0].metrics["prequential_accuracy"], 5, "min")] for k, r in groups.items()}
    )
    assert least[1].split()[:2] == ["*", "policy=never"]


def test_a_simulation_without_a_score_has_no_row() -> None:
    unscored = JobResult("completed", metrics={"updates": 1.0}, metric="accuracy", mode="max")
    lines = printed({"policy=a": [unscored], "policy=b": [result(0.5, 1)]})
    assert not any("policy=a" in line for line in lines)


def row(number: int, score: float | None, errors: int | None, updated: int | None) -> SliceRow:
    version = None if number == 1 else 1
    verdict = None if updated is None else "reject"
    decision = "wait" if updated is None else "update"
    seconds = 0.0 if updated is None else 36.0
    reasons = ("", updated, verdict, None, 1)
    return SliceRow(number, "", 10, score, errors, version, decision, *reasons, seconds)


def test_what_a_simulation_comes_to() -> None:
    rows = [row(1, None, None, 1), row(2, 0.5, 5, 2), row(3, None, 4, None), row(4, 1.0, 0, None)]
    assert summary_of(rows, "auroc", Costs(2.0, 100.0)) == {
        "prequential_auroc": 0.75,
        "updates": 1.0,
        "promoted": 0.0,
        "training_seconds": 36.0,
        "wrong_answers": 9.0,
        "cost": 19.0,
    }
    without = summary_of([*rows, row(5, 0.5, None, None)], "mae", Costs(2.0, 100.0))
    assert "cost" not in without
