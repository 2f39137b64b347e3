"""Labels that a state doesn't know yet: how often they come, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from renate.data.table import Table
from renate.problems.base import Label, Problem

SHOWN = 5  # rows, labels and files that a line names


@dataclass(frozen=True)
class Newcomer:
    """A label that wasn't known before.

    Attributes:
        label: As the data have it.
        count: Examples of the training data that have it, those that are held out among them.
        places: Where the first of them stand, for messages: `week2.csv: rows 5, 7`.
    """

    label: Label
    count: int
    places: tuple[str, ...]

    def __str__(self) -> str:
        noun = "example" if self.count == 1 else "examples"
        return f"{self.label!r} ({self.count} {noun})"


def newcomers_in(
    targets: Tensor, new: Sequence[Label], problem: Problem, table: Table
) -> list[Newcomer]:
    """Count labels that are new, and find where they stand.

    Args:
        targets: Encoded: int64 [N], or flags [N, K].
        new: Labels of the problem.
        problem: Knows the place of each label.
        table: What the targets are of, and so in which files they stand, if in any.
    """
    found = []
    for label in new:
        index = problem.labels.index(label)
        if targets.ndim == 1:
            has_it = targets == index
        else:
            has_it = targets[:, index] != 0

        rows = has_it.nonzero().flatten()
        found.append(Newcomer(label, len(rows), _places(rows, table)))

    return found


def in_words(newcomers: Sequence[Newcomer]) -> str:
    """Labels and their counts: `'dog' (37 examples), 'emu' (2 examples)`."""
    text = ", ".join(str(newcomer) for newcomer in newcomers[:SHOWN])
    more = len(newcomers) - SHOWN
    if more > 0:
        return f"{text} and {more} more"
    return text


def where_they_stand(newcomers: Sequence[Newcomer]) -> str:
    """Labels and the rows that have them, for a message that asks to look at these."""
    parts = [
        f"{newcomer}, {'; '.join(newcomer.places)}" if newcomer.places else str(newcomer)
        for newcomer in newcomers[:SHOWN]
    ]
    return "; ".join(parts) + " (rows count from 0)"


def _places(rows: Tensor, table: Table) -> tuple[str, ...]:
    if not table.files:
        return (_listed("", rows),) if len(rows) else ()

    places = []
    begin = 0
    for file in table.files:
        own = rows[(rows >= begin) & (rows < begin + file.rows)] - begin
        begin += file.rows
        if file.name in table.kept:  # some rows were left out
            own = torch.from_numpy(table.kept[file.name])[own]
        if len(own):
            places.append(_listed(f"{file.name}: ", own))

    if len(places) > SHOWN:
        return (*places[:SHOWN], f"and {len(places) - SHOWN} files more")
    return tuple(places)


def _listed(before: str, rows: Tensor) -> str:
    shown = ", ".join(map(str, torch.sort(rows).values[:SHOWN].tolist()))
    word = "row" if len(rows) == 1 else "rows"
    if len(rows) > SHOWN:
        return f"{before}{word} {shown} and {len(rows) - SHOWN} more"
    return f"{before}{word} {shown}"
