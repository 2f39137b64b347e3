"""Whether a version is better, what it forgot, and whether it shipped."""

import math
from collections.abc import Sequence
from statistics import fmean

from renate.report.facts import Matrix, Report
from renate.report.first_lines.line import BAD, GOOD, OPEN, PLAIN, Line
from renate.report.versions import ClassChange, Measure
from renate.report.versions import Update as Version
from renate.state.aliases.verdict import HOLD, PROMOTE, REJECT
from renate.state.versions import spans

CERTAIN = 2.0  # standard errors beyond which a difference is told
SMALLEST = 0.01  # share of a class beyond which its fall is told
FEWEST_JUDGED = 3  # versions whose verdicts are counted


def of_update(report: Report, newest: Version) -> list[Line]:
    """Whether the newest version is better than the one before, and what it forgot."""
    if report.measure is None:
        return [Line("Measured", "No version was measured: there were no test data.", OPEN)]

    measure = report.measure
    after = newest.mean(measure.name)
    before = newest.mean(measure.name, before=True)
    if before is None or after is None:
        value = f"{measure.name} {measure.text(after)} on {newest.measured_on}"
        said = f"Version {newest.version} has {value}"
        return [Line("Result", f"{said}; there was no version before to compare it with.")]
    return [
        _gain(measure, newest, before, after),
        _forgotten(report, measure, newest),
    ]


def _gain(measure: Measure, newest: Version, before: float, after: float) -> Line:
    change = f"{measure.text(before)} → {measure.text(after)}"
    said = f"{measure.title} {change} on {newest.measured_on}"
    gain = measure.gain(before, after)
    if gain is None:
        return Line("Changed", f"{said}; nothing says which way is better.", OPEN)

    error = _standard_error(newest)
    if error is not None and abs(after - before) <= CERTAIN * error:
        examples = newest.answers["after"].examples
        return Line(
            "No clear change", f"{said}: within what chance gives on {examples:,} examples."
        )
    if gain > 0:
        return Line("Better", f"{said}, {measure.difference(gain)} better than before.", GOOD)
    if gain < 0:
        return Line("Worse", f"{said}, {measure.difference(gain)} worse than before.", BAD)
    return Line("Unchanged", f"{said}.")


def _standard_error(newest: Version) -> float | None:
    """Of the difference of two accuracies on the same examples, by the answers that changed
    (McNemar, 1947); None where they weren't counted.
    """
    rates = [newest.counts.get(f"{sign}_flip_rate") for sign in ("positive", "negative")]
    if rates[0] is None or rates[1] is None or "after" not in newest.answers:
        return None

    examples = newest.answers["after"].examples
    changed = rates[0] + rates[1]
    return math.sqrt(max(changed - (rates[0] - rates[1]) ** 2, 0.0) / examples)


def _forgotten(report: Report, measure: Measure, newest: Version) -> Line:
    classes = newest.by_class()
    if classes:
        fallen = [each for each in classes if _has_fallen(each)]
        if not fallen:
            said = f"None of {len(classes)} classes fell by more than chance explains."
            return Line("Forgotten: nothing seen", said, GOOD)
        return Line("Forgotten", _in_words(report, fallen, len(classes)), BAD)

    if len(newest.after) > 1 and measure.mode is not None:
        return _on_tests(measure, newest)
    said = "The records have no answers by class, and one test set alone: nobody can tell."
    return Line("Forgotten: unknown", said, OPEN)


def _has_fallen(each: ClassChange) -> bool:
    variance = each.before * (1 - each.before) + each.after * (1 - each.after)
    error = math.sqrt(variance / each.examples)
    return each.change < -SMALLEST and -each.change > CERTAIN * error


def _in_words(report: Report, fallen: Sequence[ClassChange], classes: int) -> str:
    worst = fallen[0]
    said = (
        f"class {report.label(worst.label)} fell from {100 * worst.before:.0f} % to "
        f"{100 * worst.after:.0f} % right answers"
    )
    if len(fallen) > 1:
        return f"{len(fallen)} of {classes} classes fell, the most {said}."
    return f"Of {classes} classes one: {said}."


def _on_tests(measure: Measure, newest: Version) -> Line:
    changes = []
    for test, found in newest.after.items():
        before = newest.before.get(test, {}).get(measure.name)
        if before is not None and measure.name in found:
            gain = measure.gain(before, found[measure.name])
            changes.append((gain or 0.0, test, before, found[measure.name]))

    if not changes:
        return Line("Forgotten: unknown", "The version before wasn't measured on these.", OPEN)
    gain, test, before, after = min(changes)
    if gain >= 0:
        said = f"None of {len(changes)} test sets is answered worse than before."
        return Line("Forgotten: nothing seen", said, GOOD)
    said = f"on test set {test} {measure.text(before)} → {measure.text(after)}"
    fallen = sum(one[0] < 0 for one in changes)
    return Line("Forgotten", f"{fallen} of {len(changes)} test sets fell, the most {said}.", BAD)


def of_stream(measure: Measure, matrix: Matrix) -> list[Line]:
    """What a stream has learned and what it has forgotten."""
    rows = matrix.rows
    seen = len(rows)
    average = fmean(rows[-1][:seen])
    learned = fmean(rows[place][place] for place in range(seen))
    updates = "update" if seen == 1 else "updates"
    result = Line(
        "Result",
        f"After {seen} {updates} {measure.name} is {measure.text(average)} on average over the "
        f"chunks seen so far; right after each was learned it was {measure.text(learned)}.",
    )
    if seen == 1 or measure.mode is None:
        return [result]

    losses = []
    for chunk in range(seen - 1):
        best = [row[chunk] for row in rows[:-1]]
        peak = max(best) if measure.mode == "max" else min(best)
        losses.append((-(measure.gain(peak, rows[-1][chunk]) or 0.0), chunk, peak))

    mean = fmean(loss for loss, _, _ in losses)
    worst, chunk, peak = max(losses)
    name = matrix.chunks[chunk]
    if mean <= 0:
        said = f"Earlier chunks are now {measure.difference(mean)} better than ever before."
        return [result, Line("Forgotten: nothing", said, GOOD)]
    said = (
        f"{measure.difference(mean)} on average over the earlier chunks, the most on {name}: "
        f"{measure.text(peak)} at its best, {measure.text(rows[-1][chunk])} now."
    )
    return [result, Line("Forgotten", said, BAD if worst > 0 else PLAIN)]


def shipped(report: Report, newest: Version) -> Line:
    """Whether the newest version is in use, and why not."""
    used = f"version {report.used} is in use" if report.used else "no version is in use"
    if newest.verdict is None:
        if report.used == newest.version:
            said = f"Version {newest.version} is in use; no gate was asked about it."
            return Line("Shipped", said, GOOD)
        return Line("Not in use", f"Version {newest.version} is there, but {used}.", OPEN)

    outcome = newest.verdict.outcome
    reason = newest.verdict.reasons[0] if newest.verdict.reasons else "it gives no reason"
    if report.used == newest.version:
        how = "its gate promoted it" if outcome == PROMOTE else f"by hand, its gate said {outcome}"
        return Line("Shipped", f"Version {newest.version} is in use: {how} ({reason}).", GOOD)
    names = {PROMOTE: "Not in use", HOLD: "Held", REJECT: "Rejected"}
    tone = BAD if outcome == REJECT else OPEN
    said = f"Version {newest.version} did not ship, {used}. Its gate: {reason}."
    return Line(names[outcome], said, tone)


def history(report: Report) -> list[Line]:
    """What gates said of earlier versions, where there are some."""
    judged = [update for update in report.updates if update.verdict is not None]
    if len(judged) < FEWEST_JUDGED:
        return []

    said = []
    for outcome, words in ((PROMOTE, "promoted"), (HOLD, "held"), (REJECT, "rejected")):
        own = [each.version for each in judged if each.verdict and each.verdict.outcome == outcome]
        if own:
            said.append(f"{len(own)} {words} ({spans(own)})")
    text = f"Of {len(judged)} versions that a gate has judged: {'; '.join(said)}."
    return [Line("History", text)]
