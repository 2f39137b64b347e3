"""Reports about versions that nobody has trained, of any number and size."""

from collections.abc import Mapping
from dataclasses import replace

from renate.report.facts import STATE, STREAM, Matrix, Report
from renate.report.versions import Measure, Update
from renate.state.aliases.verdict import PROMOTE, REJECT, Verdict
from renate.state.measured.answer_counts import BINS, AnswerCounts, Bin

LABELS = ["cat", "dog", "<b>bird</b>", "fish & chips", "$x_1$"]


def answers(share: float, classes: int = len(LABELS), examples: int = 40) -> AnswerCounts:
    """Answers of which each class has the same share right; the others are taken for the next."""
    right = round(share * examples)
    confusion = {(each, each): right for each in range(classes) if right}
    if right < examples:
        confusion |= {(each, (each + 1) % classes): examples - right for each in range(classes)}

    bins = [Bin(0, 0, 0.0)] * BINS
    total = classes * examples
    bins[-1] = Bin(total, classes * right, 0.95 * total)
    return AnswerCounts(confusion, tuple(bins))


def update(
    version: int,
    after: float,
    before: float | None = None,
    outcome: str | None = PROMOTE,
    parent: int | None = None,
    counted: Mapping[str, AnswerCounts] | None = None,
) -> Update:
    """A version of an accuracy, and that of the version before it."""
    parent = version - 1 if parent is None else parent
    if counted is None:
        counted = {"after": answers(after)}
        counted |= {"before": answers(before)} if before is not None else {}
    verdict = None
    if outcome is not None:
        verdict = Verdict(outcome, parent or None, 0, (f"because of {after}",))

    return Update(
        version=version,
        created=f"2026-01-{1 + version % 28:02d}T12:00:00+00:00",
        parent=f"version {parent}" if parent else None,
        parent_version=parent or None,
        before={} if before is None else {"test": {"accuracy": before, "loss": 1 - before}},
        after={"test": {"accuracy": after, "loss": 1 - after}},
        counts={"steps": 10.0, "positive_flip_rate": 0.2, "negative_flip_rate": 0.01},
        size=1_000_000 + version,
        seconds=1.5,
        verdict=verdict,
        answers=counted,
        memory=[version] * len(LABELS),
        trained=[7] * len(LABELS),
        job=f"job{version}",
    )


def state(updates: int, **more: object) -> Report:
    """A state of so many versions, of which the third was rejected."""
    made = []
    used = 0
    for version in range(1, updates + 1):
        outcome = REJECT if version == 3 else PROMOTE
        before = None if version == 1 else 0.5 + 0.4 * (version - 1) / updates
        made.append(update(version, 0.5 + 0.4 * version / updates, before, outcome, used))
        used = used if outcome == REJECT else version

    measure = Measure("accuracy", "max")
    given = {"measure": measure, "labels": LABELS, "updates": made, "used": used} | more
    return Report(STATE, "weekly", "./weekly", **given)  # type: ignore[arg-type]


def bare(updates: int) -> Report:
    """A state without anything by class."""
    whole = state(updates)
    empty = {"answers": {}, "memory": None, "trained": None}
    return replace(whole, updates=[replace(one, **empty) for one in whole.updates])  # type: ignore[arg-type]


def stream(updates: int) -> Report:
    """A stream that forgets a little of each chunk."""
    rows = [
        [max(0.0, 0.9 - 0.3 * (t - i) / updates) if i <= t else 0.0 for i in range(updates)]
        for t in range(updates)
    ]
    chunks = [f"chunk {index + 1}" for index in range(updates)]
    made = [update(t + 1, rows[t][t], outcome=None) for t in range(updates)]
    return Report(
        STREAM,
        f"stream of {updates}",
        "./stream",
        measure=Measure("accuracy", "max"),
        labels=LABELS,
        updates=made,
        used=updates,
        matrix=Matrix(chunks, rows),
        metrics={"average_accuracy": sum(rows[-1]) / updates, "forgetting": 0.1},
    )
