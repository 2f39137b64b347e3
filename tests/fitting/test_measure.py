"""Measuring many test sets of one model."""

from typing import ClassVar

import torch
from torch import nn

from renate.data.batch import BatchTransform, Columns
from renate.fitting.measure import Measure
from renate.problems.classification import Classification
from renate.threads import Threads, Work
from renate.updaters.fine_tuning import FineTuning


class Asked(Threads):
    """Notes the work that it is asked about."""

    works: ClassVar[list[int]] = []

    def count(self, work: Work, *, times: float = 1.0, updated: int | None = None) -> int:
        self.works.append(work.flops)
        return 1


def columns(rows: int, width: int) -> Columns:
    return {"inputs": torch.rand(rows, width), "targets": torch.arange(rows) % 2}


def test_threads_are_asked_once_for_a_model_and_a_shape() -> None:
    asked = Asked(most=2)
    asked.works.clear()
    problem = Classification()
    problem.restore(["a", "b"], {})
    measure = Measure({}, nn.CrossEntropyLoss(), BatchTransform(), 4, problem, threads=asked)
    updater = FineTuning()

    narrow = nn.Linear(3, 2)
    for rows in (12, 12, 9):
        measure(narrow, updater, columns(rows, 3))
    assert asked.works == [2 * 4 * 3 * 2]

    measure(narrow, updater, columns(4, 3))
    assert len(asked.works) == 1, "a single batch isn't worth it"

    wide = nn.Linear(5, 2)
    measure(wide, updater, columns(12, 5))
    measure(nn.Linear(3, 2), updater, columns(12, 3))
    assert asked.works[1:] == [2 * 4 * 5 * 2, 2 * 4 * 3 * 2]
