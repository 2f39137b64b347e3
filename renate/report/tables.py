"""The tables of a report: plain rows, which a page lets its reader sort."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from renate.report.facts import SIMULATION, STREAM, Report, Tuning
from renate.report.versions import Measure, Update
from renate.tuning.trial import Trial

MOST_PAIRS = 12  # confusions that are named
MEGA = 1e6


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: As it is read.
        key: What it is sorted by; None: it comes last.
        tone: `good` or `bad`; "" is neither.
    """

    text: str
    key: float | str | None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Of its place in the page.
        title: What it lists.
        columns: Names of the columns.
        rows: A cell for each column.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def words(text: object) -> Cell:
    """A cell of text."""
    return Cell(str(text), str(text))


def number(value: float | None, text: str | None = None, tone: str = "") -> Cell:
    """A cell of a number; a dash where there is none."""
    if value is None:
        return Cell("–", None)
    return Cell(f"{value:,.4g}" if text is None else text, value, tone)


def versions(report: Report) -> Iterator[Table]:
    """Every version: where it comes from, what it scores, what its gate said, what it cost."""
    measure = report.measure
    metric = [f"{measure.name} before", f"{measure.name} now"] if measure is not None else []
    columns = ["version", "created", "from", *metric, "gate", "names", "seconds", "MB", "job"]
    rows = []
    for update in report.updates:
        outcome = update.verdict.outcome if update.verdict is not None else "–"
        rows.append(
            [
                number(update.version, str(update.version)),
                words(update.created[:19].replace("T", " ")),
                words(update.parent or "–"),
                *_scores(update, measure),
                words(outcome),
                words(", ".join(update.aliases) or "–"),
                number(update.seconds),
                number(update.size / MEGA),
                words(update.job or "–"),
            ]
        )
    if rows:
        yield Table("versions", "Versions", columns, rows)


def _scores(update: Update, measure: Measure | None) -> list[Cell]:
    if measure is None:
        return []

    before = update.mean(measure.name, before=True)
    after = update.mean(measure.name)
    tone = ""
    if before is not None and after is not None:
        gain = measure.gain(before, after) or 0.0
        tone = _tone(gain)
    return [
        number(before, measure.text(before)),
        number(after, measure.text(after), tone),
    ]


def tests(report: Report) -> Iterator[Table]:
    """Every metric of the newest version on every test set."""
    newest = report.newest
    if newest is None or not newest.after:
        return

    rows = []
    for test, scores in newest.after.items():
        for metric, value in scores.items():
            earlier = newest.before.get(test, {}).get(metric)
            rows.append([words(test), words(metric), number(earlier), number(value)])
    columns = ["measured on", "metric", "before", "now"]
    yield Table("tests", f"All that was measured of version {newest.version}", columns, rows)


def classes(report: Report) -> Iterator[Table]:
    """What became of each class by the newest update."""
    newest = report.newest
    if newest is None or not (changes := newest.by_class()):
        return

    rows = [
        [
            words(report.label(each.label)),
            number(each.before, f"{100 * each.before:.1f} %"),
            number(each.after, f"{100 * each.after:.1f} %"),
            number(each.change, f"{100 * each.change:+.1f}", _tone(each.change)),
            number(each.examples, f"{each.examples:,}"),
        ]
        for each in changes
    ]
    columns = ["class", "right before", "right now", "points", "examples"]
    yield Table("classes", "Class by class, the largest fall first", columns, rows)


def _tone(change: float) -> str:
    if change > 0:
        return "good"
    if change < 0:
        return "bad"
    return ""


def confusions(report: Report) -> Iterator[Table]:
    """The mistakes that the newest version makes most often."""
    newest = report.newest
    if newest is None or "after" not in newest.answers:
        return

    after = newest.answers["after"]
    before = newest.answers.get("before")
    wrong = Counter({pair: n for pair, n in after.confusion.items() if pair[0] != pair[1]})
    rows = [
        [
            words(report.label(truth)),
            words(report.label(answer)),
            number(before.confusion.get((truth, answer), 0) if before is not None else None),
            number(count, f"{count:,}"),
        ]
        for (truth, answer), count in wrong.most_common(MOST_PAIRS)
    ]
    if rows:
        columns = ["true class", "answered", "times before", "times now"]
        yield Table("confusions", "Its most frequent mistakes", columns, rows)


def stream_metrics(report: Report) -> Iterator[Table]:
    """What a stream or a simulation ends with."""
    if report.kind in (STREAM, SIMULATION) and report.metrics:
        rows = [[words(name), number(value)] for name, value in report.metrics.items()]
        title = f"What the {report.kind} ends with"
        yield Table("metrics", title, ["metric", "value"], rows)


def trials(tuning: Tuning) -> Table:
    """Every trial of a sweep."""
    keys = list(tuning.space.domains)
    columns = ["trial", "status", tuning.unit, tuning.metric, *tuning.secondary, *keys, "seconds"]
    return Table(
        "trials", "Trials", columns, [_trial(tuning, trial, keys) for trial in tuning.trials]
    )


def _trial(tuning: Tuning, trial: Trial, keys: Sequence[str]) -> list[Cell]:
    is_best = tuning.best is not None and tuning.best.id == trial.id
    second = [
        number(trial.secondary[place] if place < len(trial.secondary) else None)
        for place in range(len(tuning.secondary))
    ]
    return [
        number(trial.id, str(trial.id)),
        words(f"{trial.status}, the winner" if is_best else trial.status),
        number(trial.step, str(trial.step)),
        number(trial.value, tone="good" if is_best else ""),
        *second,
        *(_value(trial.config.get(key)) for key in keys),
        number(trial.seconds),
    ]


def _value(text: str | None) -> Cell:
    if text is None:
        return Cell("–", None)
    try:
        return number(float(text), f"{float(text):.4g}")
    except ValueError:
        return words(text)


def runs(report: Report) -> Iterator[Table]:
    """Several jobs side by side."""
    if not report.runs:
        return

    names = list(dict.fromkeys(name for run in report.runs for name in run.metrics))
    names = [name for name in names if "/" not in name]
    rows = [
        [
            words(run.name),
            words(run.status),
            *(number(run.metrics.get(name)) for name in names),
            number(run.seconds),
        ]
        for run in report.runs
    ]
    yield Table("runs", "Jobs", ["overrides", "status", *names, "seconds"], rows)


def slices(report: Report) -> Iterator[Table]:
    """What happened when each slice of a simulation came."""
    rows = [
        [
            number(each.number, str(each.number)),
            words(each.time[:10]),
            number(each.examples, f"{each.examples:,}"),
            number(each.score, tone=""),
            words(each.decision),
            number(each.updated, str(each.updated)),
            words(each.verdict or "–"),
            number(each.in_use, str(each.in_use)),
            number(each.seconds),
            number(each.effect),
            words("; ".join(filter(None, (each.reasons, each.verdict_reasons))) or "–"),
        ]
        for each in report.slices
    ]
    columns = ["slice", "until", "examples", "score", "decision", "made", "gate", "in use"]
    if rows:
        yield Table("slices", "Slices", [*columns, "seconds", "drift", "reasons"], rows)


def drift(report: Report) -> Iterator[Table]:
    """Every look at new data."""
    rows = [
        [
            words(check.when),
            number(check.version, str(check.version)),
            words(check.decision or "–"),
            number(check.effect),
            number(check.p_value),
            words(", ".join(about for about, _, _ in check.moved) or "–"),
            words("; ".join(check.reasons) or "–"),
            words(check.job),
        ]
        for check in report.drift
    ]
    if rows:
        columns = ["when", "version", "decision", "effect", "p-value", "moved", "reasons", "job"]
        yield Table("drift", "Looks at new data", columns, rows)


def changed(report: Report) -> Iterator[Table]:
    """What the newest version's config has otherwise than its parent's."""
    rows = [[words(key), words(before), words(now)] for key, before, now in report.changed]
    if rows:
        newest = report.newest
        parent = newest.parent if newest is not None else "before"
        columns = ["key", str(parent), f"version {newest.version}" if newest else "now"]
        yield Table("changed", "What the config has otherwise", columns, rows)


def settings(report: Report) -> Iterator[Table]:
    """The newest version's most telling settings."""
    rows = [[words(key), words(value)] for key, value in report.settings]
    if rows:
        yield Table("settings", "Settings", ["key", "value"], rows)
