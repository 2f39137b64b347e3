"""`renate report`, and the page at the end of a stream and of a sweep: the figures of the records."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from renate.launchers.terminal import pages
from renate.state.contents import metrics_from
from renate.state.versions import State
from tests.command import renate
from tests.conftest import write_table

SMALL = ("data=files", "data.target=label", "trainer.max_epochs=1", "memory.capacity=50")


def measured(url: Path, version: int) -> dict[str, Any]:
    state = State(str(url))
    return metrics_from(state.read(state.manifest(version), "metrics.json"), "it")


@pytest.fixture(scope="module")
def weekly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state of two updates, the second with a gate, and its page."""
    folder = tmp_path_factory.mktemp("weekly")
    for week in (1, 2):
        write_table(folder / f"week{week}.parquet", seed=week)
    write_table(folder / "test.parquet", seed=9, rows=90)
    for week, more in ((1, ["state.first=true"]), (2, ["gate=manual"])):
        data = [f"data.train=week{week}.parquet", "data.test=test.parquet"]
        renate(*SMALL, *data, "state.url=./state", *more, cwd=folder)
    renate("report", "./state", "-o", "page", cwd=folder)
    return folder


def test_what_a_version_keeps_adds_up(weekly: Path) -> None:
    first, second = measured(weekly / "state", 1), measured(weekly / "state", 2)
    assert set(second["answers"]) == {"before", "after"}
    after = second["answers"]["after"]
    assert after.examples == 90
    assert after.right / 90 == pytest.approx(second["after"]["test"]["accuracy"])
    before = second["answers"]["before"]
    assert before.right / 90 == pytest.approx(second["before"]["test"]["accuracy"])
    assert first["answers"]["after"] == before, "what the parent answered when it was made"
    assert sum(second["memory"]) == 50
    train = {sum(found["trained"]) for found in (first, second)}
    assert all(80 < rows < 120 for rows in train), "all rows but those held out"


def test_the_page_has_the_numbers_of_the_records(weekly: Path) -> None:
    text = (weekly / "page" / "report.html").read_text()
    found = measured(weekly / "state", 2)
    for when in ("before", "after"):
        assert f"{100 * found[when]['test']['accuracy']:.1f} %" in text
    for truth, (right, examples) in found["answers"]["after"].by_class().items():
        assert f"{100 * right / examples:.1f} %" in text, truth
    assert "Version 2 did not ship, version 1 is in use." in text
    assert "<strong>Held</strong>" in text
    card = (weekly / "page" / "model_card.md").read_text()
    assert f"{100 * found['after']['test']['accuracy']:.1f} %" in card


def test_versions_without_these_records_say_so(weekly: Path) -> None:
    """As those of earlier releases: their metrics.json has scores alone."""
    from renate.jobs.reporting.assembled import report_of_state

    whole = report_of_state(str(weekly / "state"))
    assert whole.missing == ["drift: no job has looked for it; renate job=detect does"]
    kept = metrics_from(json.dumps({"after": {"test": {"accuracy": 1.0}}}).encode(), "it")
    assert "answers" not in kept
    assert "memory" not in kept


def test_nothing_to_report_on(workdir: Path) -> None:
    said = renate("report", "./nowhere", cwd=workdir, code=1).stderr
    assert said.count("\n") == 1
    assert "nowhere: holds no version yet" in said
    assert "and runs has no job './nowhere'" in said


def test_without_the_extra(weekly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = renate("report", "./state", "-o", "none", cwd=weekly, code=1).stderr
    assert said == "renate: renate report needs matplotlib: pip install 'renate-cl[report]'\n"
    assert not (weekly / "none").exists()


STREAM = (
    *("job=stream", "scenario=class_incremental", "scenario.chunks=2"),
    *("trainer.max_epochs=1", "objective.metric=null"),
)


@pytest.mark.slow
def test_a_stream_ends_with_its_page(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = renate(*STREAM, cwd=workdir, reports=True)
    page = workdir / re.findall(r"^report +(\S+)$", done.stdout, re.MULTILINE)[0]
    assert page.parent.name == "report"
    result = json.loads((page.parents[1] / "result.json").read_text())
    text = page.read_text()
    for name, value in result["metrics"].items():
        assert name in text
        assert f"{value:,.4g}" in text, name
    for row in result["matrix"]:
        for value in row:
            assert f">{100 * value:.0f}</text>" in text

    shown = renate("jobs", "show", "latest", cwd=workdir).stdout
    assert f"{100 * result['matrix'][1][0]:.1f}" in shown
    assert "_target_" not in shown, "a path to the config, not a hundred lines of it"

    before = page.stat().st_mtime_ns
    renate(*STREAM, cwd=workdir, reports=True)
    assert page.stat().st_mtime_ns == before, "the page of a job that was done is there"

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    more = renate(*STREAM, "seed=1", cwd=workdir, reports=True).stdout
    assert (
        "report      none: renate report needs matplotlib: pip install 'renate-cl[report]'" in more
    )
    assert not renate(*STREAM, "seed=2", "report=none", cwd=workdir, reports=True).stdout.count(
        "\nreport "
    )


@pytest.mark.slow
def test_a_sweep_and_several_jobs_end_with_a_page(workdir: Path) -> None:
    tuned = (
        *("search_space=lr", "tuner=random", "tuner.max_trials=3", "trainer.max_epochs=2"),
        *("state.url=./tuned", "state.first=true", "terminal=json"),
    )
    lines = renate(*tuned, cwd=workdir, reports=True).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    ended = [one for one in events if one["event"] == "trial" and one["status"] == "completed"]
    assert {one["trial"] for one in ended} == {0, 1, 2}
    result = next(one for one in events if one["event"] == "result")
    text = Path(events[-1]["path"]).read_text()
    assert events[-1]["event"] == "page"
    assert f"Trial {result['best_trial']} has val_accuracy {result['value']:.4g}" in text
    assert "3 trials: 3 completed" in text

    done = renate("seed=0,1", "trainer.max_epochs=1", cwd=workdir, reports=True)
    text = (workdir / re.findall(r"^report +(\S+)$", done.stdout, re.MULTILINE)[0]).read_text()
    for path in workdir.glob("runs/*/result.json"):
        found = json.loads(path.read_text())
        if "best_trial" not in found:
            assert f"{found['metrics']['test_accuracy']:,.4g}" in text


def test_what_cant_be_drawn_fails_no_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("no luck")

    pages.write(pages.Progress(), broken, tmp_path)
    assert capsys.readouterr().out == "report      none: ZeroDivisionError: no luck\n"
