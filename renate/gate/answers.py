"""What a model answers for each example, as far as it is compared."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from renate.errors import JobError
from renate.problems.base import Problem

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
Whole = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Answers:
    """A model's answers to N examples.

    Attributes:
        grades: How good each answer is, float64 [N]; more is better.
        right: Whether each is right, [N]; None where answers are numbers.
        confidence: The probability of each answer, [N]; None where that has no meaning.
        classes: The class of each example, [N]; None where there are none.
    """

    grades: Numbers
    right: Flags | None = None
    confidence: Numbers | None = None
    classes: Whole | None = None

    def __len__(self) -> int:
        return len(self.grades)

    def of(self, rows: Flags) -> "Answers":
        """Return those of some examples."""
        return Answers(
            self.grades[rows],
            None if self.right is None else self.right[rows],
            None if self.confidence is None else self.confidence[rows],
            None if self.classes is None else self.classes[rows],
        )


def answers_of(
    predictions: Iterable[tuple[Tensor, Tensor]], problem: Problem, outputs_known: int | None = None
) -> Answers:
    """Reduce outputs and targets, batch by batch, to what is compared.

    Args:
        predictions: Outputs and targets.
        problem: What is predicted.
        outputs_known: How many of the outputs the version has; None: all. What stands in the place
            of the others takes no share of its probabilities.

    Raises:
        JobError: A grade is no number.
    """
    grades = []
    confidence = []
    classes = []
    known = False
    for outputs, targets in predictions:
        each = problem.graded(outputs, targets).double().cpu().numpy()
        if not np.isfinite(each).all():
            raise JobError("gate: an answer is no finite number, so versions can't be compared")
        grades.append(each)
        if problem.classes:
            known = True
            found = problem.probabilities(outputs[:, :outputs_known])
            assert found is not None
            confidence.append(found.amax(1).double().cpu().numpy())
            classes.append(targets.long().cpu().numpy())

    together = np.concatenate(grades)
    right = together == 1.0 if problem.is_right_or_wrong else None
    if not known:
        return Answers(together, right)
    return Answers(together, right, np.concatenate(confidence), np.concatenate(classes))
