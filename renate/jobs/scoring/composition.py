"""What an update was made of and what it answers, by class: kept for reports."""

from collections.abc import Sequence
from typing import Any

from renate.data.batch import Columns, length
from renate.jobs.scoring.answered import Answered
from renate.memory.store.memory import Memory
from renate.problems.base import Problem


def composition_of(
    problem: Problem,
    train: Columns,
    memory: Memory,
    before: Answered,
    after: Answered,
    tests: Sequence[str],
) -> dict[str, Any]:
    """Return what `metrics.json` keeps besides scores, see `renate.state.contents.metrics_from`.

    Args:
        problem: What is predicted.
        train: The columns of this update.
        memory: As it is saved.
        before: Answers of the version in use.
        after: Those of the outcome.
        tests: Names of the tests that count: those of this chunk and of earlier ones.
    """
    counts = {"before": before.on(tests), "after": after.on(tests)}
    known = {name: found.to_json() for name, found in counts.items() if found is not None}
    content = {
        "answers": {name: found for name, found in known.items() if found is not None},
        "memory": examples_by_label(problem, memory.columns()),
        "trained": examples_by_label(problem, train),
    }
    return {key: value for key, value in content.items() if value}


def examples_by_label(problem: Problem, columns: Columns) -> list[int] | None:
    """Return how many examples each label has, in the order of the outputs; None where that has no
    meaning, or there is no example.
    """
    if not length(columns):
        return None

    targets = columns["targets"]
    found = problem.counts(problem.truths(targets))
    if found is None:
        return None
    return [int(count) for count in found.tolist()]
