"""What a simulation has left, as a report tells of it."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from renate.errors import JobError
from renate.files import ANEW
from renate.report.facts import Slice

FILE = "simulation.csv"


def slices_of(folder: Path) -> list[Slice]:
    """Return the rows of a job's simulation.csv; none where it has none.

    Raises:
        JobError: The file isn't what a simulation writes, by its line and column.
    """
    path = folder / FILE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise JobError(f"{path}: no CSV ({error}); {ANEW}") from error

    found = []
    for line, row in enumerate(rows, start=2):
        try:
            found.append(_slice(row))
        except ValueError as error:
            raise JobError(f"{path}, line {line}: {error}; {ANEW}") from error

    return found


def _slice(row: Mapping[str, Any]) -> Slice:
    return Slice(
        number=_cell(row, "slice", int),
        time=_cell(row, "time", str),
        examples=_cell(row, "examples", int),
        score=_cell(row, "score", float, may_lack=True),
        decision=_cell(row, "decision", str),
        reasons=_cell(row, "reasons", str, may_lack=True) or "",
        updated=_cell(row, "updated", int, may_lack=True),
        verdict=_cell(row, "verdict", str, may_lack=True),
        verdict_reasons=_cell(row, "verdict_reasons", str, may_lack=True) or "",
        in_use=_cell(row, "in_use", int, may_lack=True),
        seconds=_cell(row, "seconds", float),
        # Earlier releases have no such column
        effect=_cell(row, "effect", float, may_lack=True) if "effect" in row else None,
    )


def _cell(
    row: Mapping[str, Any], name: str, kind: Callable[[str], Any], *, may_lack: bool = False
) -> Any:
    """A value of a row; None where the cell is empty and may be. Raises ValueError."""
    if row.get(name) is None:
        raise ValueError(f"it lacks the column '{name}'")

    text = str(row[name])
    if not text:
        if may_lack:
            return None
        raise ValueError(f"{name} is empty")
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text!r}, expected {kind.__name__}") from error
