"""Tables at the end of a command say what was asked for as it was."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from renate.jobs.records import COMPLETED, JobResult
from renate.launchers.sweeps.sweep_table import SweepTable
from renate.launchers.terminal import report, tables
from renate.tuning.trial import Trial

# To rich the former is markup, and the latter the end of markup that never began
ASKED = ["data.inputs=[a,b]", "data.train=[/data/a.csv,/data/b.csv]"]


def printed(table: Table) -> str:
    file = io.StringIO()
    Console(file=file, width=200, soft_wrap=True).print(table)
    return file.getvalue()


@pytest.mark.parametrize("asked", ASKED)
def test_lists_among_the_overrides_stand_as_they_were_given(asked: str) -> None:
    result = JobResult(COMPLETED, metrics={"a": 1.0}, matrix=[[0.5]], metric="accuracy", mode="max")
    job: Any = SimpleNamespace(id="abc", name=asked)
    for table in (
        tables.matrix(asked, [result]),
        tables._of_jobs([(job, result)], ["a"]),
        tables._over_seeds({asked: [result]}, ["a"]),
    ):
        assert asked in printed(table)


@pytest.mark.parametrize("asked", ASKED)
def test_a_trials_lists_stand_as_they_were_tried(asked: str) -> None:
    key, _, value = asked.partition("=")
    sweep: Any = SimpleNamespace(trials=[Trial(0, {key: value}, "sampled")], best=None)
    table: Any = SimpleNamespace(sweep=sweep, total=None, unit="epoch", metric="a")
    assert asked in printed(SweepTable.table(table))


@pytest.mark.parametrize("asked", ASKED)
def test_the_composed_config_too(
    asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    key, _, value = asked.partition("=")
    job: Any = SimpleNamespace(name=asked, config={key: value})
    monkeypatch.setattr(report, "stdout", lambda: Console(width=200))
    report.tree(job, {})
    said = capsys.readouterr().out
    assert said.count(value) == 2
