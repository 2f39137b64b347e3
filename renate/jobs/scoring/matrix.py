"""What a stream is worth: a metric on each chunk after each update, and what follows from that."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any, NamedTuple

from renate import metrics

Scores = Mapping[str, Mapping[str, float]]  # test name -> metric -> value
Sizes = Mapping[str, int]  # test name -> its examples

SEPARATOR = ","  # in a test's name, between its chunk and which of several test sets it is
# How the scores of a chunk's validation data are named beside those of its tests
VALIDATION = "validation of "
NEGATIVE = "negative_flip_rate"  # of each update but the first, see `renate.metrics.flips`


class Shown(NamedTuple):
    """What a stream's matrix shows.

    Attributes:
        metric: `accuracy`.
        mode: Which way it is better, `max` or `min`.
    """

    metric: str
    mode: str

    @property
    def average(self) -> str:
        """What its average over the chunks is called."""
        return f"average_{self.metric}"


def name_of_test(index: int, test: str | None = None) -> str:
    """What the test of a chunk is called.

    Args:
        index: The chunk's, from 0.
        test: Which of several test sets; None where there is but one.
    """
    chunk = f"chunk {index + 1}"
    if test is None:
        return chunk
    return f"{chunk}{SEPARATOR} {test}"


def by_chunk(scores: Scores, metric: str, part: str = "") -> dict[str, float]:
    """A metric on each chunk: the mean over its tests, where the data names several.

    Args:
        scores: Test name -> metric -> value.
        metric: Which one.
        part: "" for the test data, `VALIDATION` for the validation data.
    """
    return mean_of_each(
        (name, score[metric])
        for name, score in scores.items()
        if metric in score and name.startswith(VALIDATION) == (part == VALIDATION)
    )


def mean_of_each(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The mean of what was measured on each chunk, in the order in which the chunks come.

    Args:
        values: Test name, as `name_of_test` makes it, and value.
    """
    of_chunk: dict[str, list[float]] = {}
    for name, value in values:
        of_chunk.setdefault(name.partition(SEPARATOR)[0], []).append(value)

    return {chunk: fmean(found) for chunk, found in of_chunk.items()}


def matrix_of(history: list[dict[str, Any]], metric: str, part: str = "") -> list[list[float]]:
    """R[t][i]: a metric on chunk i after update t."""
    return [list(by_chunk(row["after"], metric, part).values()) for row in history]


def value_of(history: list[dict[str, Any]], shown: Shown, objective: str | None) -> float:
    """The objective of a stream: over all chunks, on validation data, after the last update.

    Of `val_…` the mean over the chunks; of a stream's own metric that metric of the validation
    data's matrix; of `train_…` the mean over the updates. Without an objective, for the table, the
    average on test data.
    """
    if objective is None:
        return summarise(history, shown)[shown.average]
    if objective.startswith("train_"):
        return fmean(float(row["value"]) for row in history)
    if objective.startswith("val_"):
        return fmean(matrix_of(history, objective.removeprefix("val_"), VALIDATION)[-1])

    return summarise(history, shown, part=VALIDATION)[objective]


def summarise(
    history: list[dict[str, Any]], shown: Shown, sizes: Sizes | None = None, part: str = ""
) -> dict[str, float]:
    """The stream's metrics after the updates so far; see renate/metrics.py for the definitions.

    Args:
        history: What each update was measured to be.
        shown: The metric.
        sizes: Of the tests, for what each example counts alike in; None leaves that out.
        part: "" for the test data, `VALIDATION` for the validation data.
    """
    matrix = matrix_of(history, shown.metric, part)
    untrained = list(by_chunk(history[0]["before"], shown.metric, part).values())
    result = metrics.of_stream(matrix, untrained, shown.metric, shown.mode)

    if sizes is not None:
        found = [(name, n) for name, n in sizes.items() if not name.startswith(VALIDATION)]
        counted: dict[str, int] = {}
        for name, n in found:
            chunk = name.partition(SEPARATOR)[0]
            counted[chunk] = counted.get(chunk, 0) + n
        result[f"micro_{shown.average}"] = metrics.micro_average(matrix, [*counted.values()])

    rates = [row["counts"][NEGATIVE] for row in history if NEGATIVE in row.get("counts", {})]
    if rates:
        result[NEGATIVE] = fmean(rates)

    masked = list(by_chunk(history[-1]["after"], "task_accuracy").values())[: len(matrix)]
    if masked:
        result["task_accuracy"] = fmean(masked)

    return result
