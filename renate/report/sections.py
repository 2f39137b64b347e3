"""What a page shows, in which order: figures and tables under headings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from renate.report import tables
from renate.report.facts import Report
from renate.report.figures import classes, comparison, costs, drift, progress, simulation, tuning
from renate.report.figures.style import Drawn
from renate.report.importance import importance_of
from renate.report.tables import Table


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        name: Of its anchor.
        title: Its heading.
        figures: What it shows.
        tables: What it lists.
        text: Paragraphs before both.
        bullets: Lines after these.
    """

    name: str
    title: str
    figures: Sequence[Drawn] = ()
    tables: Sequence[Table] = ()
    text: Sequence[str] = ()
    bullets: Sequence[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.figures or self.tables or self.text or self.bullets)


def sections(report: Report) -> list[Section]:
    """Return the parts that there is something to show of."""
    found = [
        _gate(report),
        _section(
            "slices",
            "Slice by slice",
            [
                *simulation.over_slices(report),
                *simulation.drift_of_slices(report),
                *simulation.of_policies(report),
            ],
            [*tables.slices(report)],
        ),
        _section(
            "progress",
            "Over the updates",
            [*progress.matrix(report), *progress.over_updates(report)],
            [*tables.stream_metrics(report)],
        ),
        _section(
            "jobs",
            "Side by side",
            [*comparison.bars(report), *comparison.averages(report)] if report.runs else [],
            [*tables.runs(report)],
        ),
        _tuning(report),
        _section(
            "classes",
            "Class by class",
            [
                *classes.per_class(report),
                *classes.confusion(report),
                *classes.calibration(report),
            ],
            [*tables.classes(report), *tables.confusions(report)],
        ),
        _section("memory", "Data and memory", [*classes.memory(report)]),
        _section("drift", "Drift", [*drift.drift(report)], [*tables.drift(report)]),
        _section("training", "While training", [*costs.training(report)]),
        _section("cost", "Time and size", [*costs.costs(report)]),
        _section(
            "versions",
            "Versions and lineage",
            [*costs.lineage(report)],
            [*tables.versions(report), *tables.tests(report)],
        ),
        _section("config", "Config", [], [*tables.changed(report), *tables.settings(report)]),
        Section("missing", "Not on this page", bullets=list(report.missing)),
    ]
    return [section for section in found if not section.is_empty]


def _section(
    name: str, title: str, figures: Iterable[Drawn] = (), listed: Iterable[Table] = ()
) -> Section:
    return Section(name, title, list(figures), list(listed))


def _gate(report: Report) -> Section:
    """The newest version's verdict, and who moved an alias to it."""
    newest = report.newest
    if newest is None or (newest.verdict is None and not newest.moves):
        return Section("gate", "")

    text = []
    bullets = []
    if newest.verdict is not None:
        against = ""
        if newest.verdict.against is not None:
            against = f", compared with version {newest.verdict.against}"
        text.append(f"Its gate said: {newest.verdict.outcome}{against}.")
        bullets += list(newest.verdict.reasons)

    return Section(
        "gate",
        f"May version {newest.version} be used?",
        text=text,
        bullets=[*bullets, *newest.moves],
    )


def _tuning(report: Report) -> Section:
    found = report.tuning
    if found is None:
        return Section("tuning", "")

    importance = importance_of(found)
    figures = [
        *tuning.learning_curves(found),
        *tuning.parallel_coordinates(found, importance),
        *tuning.importance_bars(importance, found.metric),
        *tuning.front(found),
    ]
    text = [f"Ended by {found.why}."] if found.why else []
    if importance is None:
        text.append("Too few trials say which keys mattered, or their values were all alike.")
    return Section("tuning", "Tuning", figures, [tables.trials(found)], text)
