"""Outputs -> columns for people: the answer, how probable it is, and what was copied."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from renate.errors import ConfigError, JobError
from renate.problems.base import Problem

ANSWER = "prediction"
PROBABILITY = "probability"


def check_outputs(outputs: Tensor, first: int = 0) -> None:
    """Return if outputs [N, K] say something: of NaN any label would be made.

    Args:
        outputs: Of the model; minus infinity is a class that isn't possible.
        first: The number of the first row.

    Raises:
        JobError: They don't.
    """
    odd = (outputs.isnan() | outputs.isposinf()).flatten(1).any(1)
    if bool(odd.any()):
        raise JobError(
            f"row {first + int(odd.nonzero()[0])} of the inputs (the first is 0): the model's "
            "output is NaN or infinite: are its values far from those that it was trained on, or "
            "is trainer.precision too low?"
        )


class AnswerTable:
    """Makes a table of answers.

    Args:
        problem: What is predicted.
        every: Whether each label's probability has a column of its own.
        keep: Columns to copy.

    Raises:
        ConfigError: A column that is copied is called like one of the answers, or the problem has
            no probabilities.
    """

    def __init__(self, problem: Problem, *, every: bool, keep: Sequence[str]) -> None:
        import torch

        self.problem = problem
        self.every = every
        none = torch.zeros(1, problem.outputs)
        self.has_probabilities = problem.probabilities(none) is not None
        if every and not self.has_probabilities:
            raise ConfigError(
                f"job.probabilities=all: problem={problem.name} predicts numbers, which have none"
            )

        names = [field for field in self._columns(none) if field in keep]
        if names:
            raise ConfigError(f"job.keep: '{names[0]}' is what the output calls its own column")

    def __call__(self, outputs: Tensor, kept: Any) -> Any:
        """Return an Arrow table: the columns that are copied, then the answers.

        Args:
            outputs: [N, K].
            kept: Arrow table of N rows.
        """
        import pyarrow as pa

        columns = {name: kept.column(name) for name in kept.column_names}
        return pa.table(columns | self._columns(outputs))

    def _columns(self, outputs: Tensor) -> dict[str, Any]:
        import pyarrow as pa

        labels = self.problem.labels
        answers = self.problem.decode(outputs)
        found = self.problem.probabilities(outputs)
        if found is None:
            return self._numbers(answers)

        several = any(isinstance(answer, list) for answer in answers)
        kind: Any = pa.array(labels).type
        place = {label: index for index, label in enumerate(labels)}
        rows = found.tolist()
        best: list[Any] = []
        for answer, row in zip(answers, rows, strict=True):
            if several:
                best.append([row[place[label]] for label in answer])
            else:
                best.append(row[place[answer]])

        number: Any = pa.float64()
        if several:
            kind = pa.list_(kind)
            number = pa.list_(number)

        columns: dict[str, Any] = {
            ANSWER: pa.array(answers, kind),
            PROBABILITY: pa.array(best, number),
        }
        if self.every:
            parts = zip(labels, found.T.tolist(), strict=True)
            columns |= {f"{PROBABILITY}_{label}": pa.array(part) for label, part in parts}

        return columns

    def _numbers(self, answers: list[Any]) -> dict[str, Any]:
        """Of one number the answer; of several a column each, by its name."""
        import pyarrow as pa

        labels = self.problem.labels
        if not any(isinstance(answer, list) for answer in answers):
            return {ANSWER: pa.array(answers)}

        parts = zip(*answers, strict=True)
        named = zip(labels, parts, strict=True)
        return {f"{ANSWER}_{label}": pa.array(list(part)) for label, part in named}
