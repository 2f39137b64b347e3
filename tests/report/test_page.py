"""The page: its numbers are those of the facts, what is missing is said, nothing runs or breaks."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from renate.errors import JobError
from renate.report.facts import COMPARISON, Curve, DriftCheck, Report, Run
from renate.report.figures import classes
from renate.report.figures.lines import effects
from renate.report.figures.style import canvas
from renate.report.first_lines.headline import headline
from renate.report.first_lines.line import BAD, GOOD
from renate.report.versions import Measure
from renate.report.written import write_report
from renate.state.aliases.verdict import HOLD, REJECT
from tests.report.made import LABELS, answers, bare, state, stream, update

MOST_BYTES = 3_000_000


class Read(HTMLParser):
    """Cells by table, figures by name, and whatever would be fetched or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.figures: list[str] = []
        self.fetched: list[str] = []
        self.rows: list[list[str]] = []
        self.is_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.figures += [name] if tag == "figure" and (name := given.get("data-figure")) else []
        self.rows += [[]] if tag == "tr" else []
        self.is_cell = tag == "td"
        self.fetched += [
            value
            for key in ("src", "href", "xlink:href", "srcset", "action")
            if (value := given.get(key)) and not value.startswith(("#", "data:"))
        ]

    def handle_data(self, data: str) -> None:
        if self.is_cell and self.rows:
            self.rows[-1].append(data)
            self.is_cell = False


def written(report: Report, folder: Path) -> tuple[str, Read]:
    """The page of a report, as text and as read."""
    text = write_report(report, folder).read_text()
    return text, Read(text)


@pytest.fixture(scope="module")
def weekly(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Read]:
    folder = tmp_path_factory.mktemp("weekly")
    curve = Curve("", {"train_loss": [(1, 2.0), (2, 1.0)], "val_accuracy": [(1, 0.1), (2, 0.9)]})
    checks = [DriftCheck("2026-01-01", "j", 2, 0.4, 0.001, 0.05, [("x", 0.4, 0.001)], "update")]
    return folder, *written(state(4, curves=[curve], drift=checks), folder)


def test_numbers_are_those_of_the_facts(weekly: tuple[Path, str, Read]) -> None:
    report = state(4)
    _, text, read = weekly
    cells = {cell for row in read.rows for cell in row}
    for one in report.updates:
        assert f"{100 * one.after['test']['accuracy']:.1f} %" in cells
        assert one.job in cells
    newest = report.updates[-1]
    found = newest.answers["after"].by_class()
    shares = {f"{100 * right / examples:.1f} %" for right, examples in found.values()}
    assert shares <= cells
    assert "Accuracy 80.0 % → 90.0 % on test data, 10.0 points better than before." in text


def test_figures_are_on_the_page_and_beside_it(weekly: tuple[Path, str, Read]) -> None:
    folder, text, read = weekly
    assert {
        *("over_updates", "per_class", "confusion_before", "confusion_after", "calibration"),
        *("memory", "trained", "drift", "training_loss", "training_accuracy"),
        *("seconds", "size", "lineage"),
    } == set(read.figures)
    for name in read.figures:
        svg = (folder / "figures" / f"{name}.svg").read_text()
        assert svg.startswith("<svg")
        assert "prefers-color-scheme:dark" in svg
        assert (folder / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "report.html").stat().st_size < MOST_BYTES
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)), "figures on one page share no names"


def test_nothing_is_fetched_and_labels_are_text(weekly: tuple[Path, str, Read]) -> None:
    _, text, read = weekly
    assert read.fetched == []
    assert "url(http" not in text
    assert "@import" not in text
    assert "b" not in read.tags, "a label is no markup"
    assert "&lt;b&gt;bird&lt;/b&gt;" in text


def test_a_model_card_of_the_same_facts(weekly: tuple[Path, str, Read]) -> None:
    card = (weekly[0] / "model_card.md").read_text()
    assert card.startswith("---\nlibrary_name: renate-cl\n")
    assert "**Better.** Accuracy 80.0 % → 90.0 % on test data" in card
    assert 'renate.load_model("./weekly", 4)' in card
    assert r"\<b\>bird\</b\>" in card
    assert "- because of 0.9" in card


def test_one_version_and_no_test_data(tmp_path: Path) -> None:
    bare = replace(update(1, 0.9), after={}, answers={}, memory=None, trained=None, seconds=None)
    report = replace(state(1), updates=[bare], measure=None, missing=["metrics: none"])
    text, read = written(report, tmp_path)
    assert read.figures == ["size"], "what is missing is not drawn"
    assert "No version was measured" in text
    assert "metrics: none" in text
    assert not re.search(r"\b0\.0 %", text), "and is no 0"


@pytest.mark.parametrize("make", [state, pytest.param(stream, marks=pytest.mark.slow)])
def test_one_update(make: object, tmp_path: Path) -> None:
    text, read = written(make(1), tmp_path)  # type: ignore[operator]
    assert "per_class" in read.figures
    assert "Shipped" in text


@pytest.mark.slow
@pytest.mark.parametrize("make", [state, stream])
def test_two_hundred_updates(make: object, tmp_path: Path) -> None:
    text, read = written(make(200), tmp_path)  # type: ignore[operator]
    assert len(text) < MOST_BYTES
    assert {"over_updates", "per_class", "memory"} <= set(read.figures)
    for name in read.figures:
        svg = (tmp_path / "figures" / f"{name}.svg").read_text()
        assert svg.count("<text") < 70, f"{name}: labels are thinned out"


def test_what_an_earlier_report_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_report(bare(2), tmp_path)
    own = tmp_path / "figures" / "mine.png"
    own.write_bytes(b"mine")
    assert (tmp_path / "figures" / "lineage.png").exists()
    write_report(bare(1), tmp_path)
    assert not (tmp_path / "figures" / "lineage.png").exists()
    assert own.read_bytes() == b"mine"
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_that_cant_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="can't write the report: Not a directory"):
        write_report(state(1), tmp_path / "file")


def said(report: Report) -> dict[str, tuple[str, str]]:
    return {line.about: (line.text, line.tone) for line in headline(report)}


def test_the_first_lines_of_a_rejection() -> None:
    spoilt = update(4, 0.2, 0.9, REJECT)
    report = replace(state(4), updates=[*state(4).updates[:3], spoilt], used=2)
    lines = said(report)
    assert lines["Worse"] == (
        "Accuracy 90.0 % → 20.0 % on test data, 70.0 points worse than before.",
        BAD,
    )
    assert lines["Forgotten"][0].startswith("5 of 5 classes fell, the most class ")
    assert lines["Rejected"][0].startswith("Version 4 did not ship, version 2 is in use.")
    assert lines["History"][0].endswith("2 promoted (versions 1-2); 2 rejected (versions 3-4).")


def test_chance_is_no_gain() -> None:
    close = replace(
        update(2, 0.9, 0.89), counts={"positive_flip_rate": 0.06, "negative_flip_rate": 0.05}
    )
    lines = said(replace(state(2), updates=[update(1, 0.89), close]))
    assert "within what chance gives on 200 examples" in lines["No clear change"][0]
    assert lines["Forgotten: nothing seen"][1] == GOOD


def test_a_held_version_and_one_by_hand() -> None:
    held = [update(1, 0.5), update(2, 0.6, 0.5, HOLD)]
    assert (
        "did not ship, version 1 is in use"
        in said(replace(state(2), updates=held, used=1))["Held"][0]
    )
    by_hand = said(replace(state(2), updates=held, used=2))["Shipped"][0]
    assert "by hand, its gate said hold" in by_hand


def test_nobody_knows_which_way_is_better() -> None:
    lines = said(replace(state(2), measure=Measure("accuracy", None)))
    assert "nothing says which way is better" in lines["Changed"][0]


def test_a_loss_that_falls_is_better() -> None:
    lines = said(replace(state(2), measure=Measure("loss", "min")))
    assert lines["Better"][0] == "Loss 0.3 → 0.1 on test data, 0.2 better than before."


def test_scores_on_validation_data_are_called_that() -> None:
    *earlier, newest = state(3).updates
    by_validation = replace(
        newest,
        before={"validation": newest.before["test"]},
        after={"validation": newest.after["test"]},
    )
    lines = said(replace(state(3), updates=[*earlier, by_validation]))
    assert "on validation data, " in lines["Better"][0]


def compared(metric: str, **groups: list[float]) -> str:
    runs = [
        Run(f"{group}, seed={seed}", group, "completed", {metric: value})
        for group, values in groups.items()
        for seed, value in enumerate(values)
    ]
    about = Report(COMPARISON, "two", "./runs", measure=Measure("accuracy", "max"), runs=runs)
    return next(iter(said(about).values()))[0]


def test_the_best_of_jobs_side_by_side() -> None:
    of_both = compared("test_accuracy", er=[0.9], naive=[0.5, 0.52])
    assert of_both.endswith(", means of 1 and of 2 seeds.")
    assert compared("test_accuracy", er=[0.9], naive=[0.5]).endswith(
        ", one seed each: chance may decide."
    )
    assert compared("train_loss", er=[0.9], naive=[0.5]) == "er: 0.9; naive: 0.5.", (
        "which way a loss is better isn't told by the accuracy's mode"
    )


def test_a_stream_says_what_it_forgot() -> None:
    lines = said(stream(4))
    assert lines["Result"][0].startswith("After 4 updates accuracy is 78.8 % on average")
    assert lines["Forgotten"][0] == (
        "15.0 points on average over the earlier chunks, the most on chunk 1: 90.0 % at its best, "
        "67.5 % now."
    )


def test_a_class_without_examples_is_no_zero() -> None:
    known = update(1, 0.9, counted={"after": answers(0.9, classes=3)})
    later = update(2, 0.9, 0.9, counted={"after": answers(0.9)})
    drawn = next(classes.per_class(replace(state(2), updates=[known, later])))
    numbers = re.findall(r">(\d+)</text>", drawn.svg)
    assert numbers.count("90") == 3 + len(LABELS)
    assert "0" not in numbers


def test_effects_above_1_are_drawn_whole() -> None:
    """Of numbers they are in standard deviations; the axis ended at 1."""
    with canvas(height=2.0) as (_, axes):
        effects(axes, [("update", 0.0), ("wait", 3.2), ("update", None), (None, 0.4)])
        bottom, top = axes.get_ylim()
        stems = [
            len(each.get_segments()) for each in axes.collections if hasattr(each, "get_segments")
        ]
    assert bottom == 0
    assert top > 3.2
    assert stems == [1, 1, 1], "one for each decision, and none where nothing was found out"
