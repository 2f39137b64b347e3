"""Past data in the order in which they came, cut into slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.base import Source
from renate.data.batch import Columns, length
from renate.data.kept.raw import check_storable, take
from renate.data.kept.reading import problem_of
from renate.data.mapped.rows import joined_rows, take_rows
from renate.data.model_inputs import named_columns
from renate.data.scenarios import NoScenario, Scenario, TimeIncremental
from renate.data.scenarios.time_incremental import unit_ends
from renate.data.table import Table, targets_of
from renate.errors import ConfigError, DataError, nearest
from renate.policy.calendar import UNITS, end_of
from renate.problems.base import Problem

ROW = "simulation.row"  # a column by which a scenario says which rows it has taken
NUMBER = "number"  # times that are no dates
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Slice:
    """What came together.

    Attributes:
        rows: Of the table, int64 [n].
        ends: When it had wholly come, in UTC.
        inputs: Its inputs [n, ...] where a scenario has changed them; None: the table's.
        targets: Its targets [n], as a source has them, where a scenario has changed them.
    """

    rows: Tensor
    ends: datetime
    inputs: Tensor | None = None
    targets: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class Arrivals:
    """A table, and the slices in which it came."""

    table: Table
    slices: Sequence[Slice]

    def between(self, first: int, last: int) -> Table:
        """Return the rows of the slices with these numbers, from 1, both included."""
        those = self.slices[first - 1 : last]
        rows = torch.cat([each.rows for each in those])
        return self.table._replace(
            inputs=self._inputs(those, rows),
            targets=np.concatenate([self._targets(each) for each in those]),
            files=(),
            notes=(),
            skipped=(),
            kept={},
            weights=_taken(self.table.weights, rows),
            identity=None if self.table.identity is None else take(self.table.identity, rows),
            times=_taken(self.table.times, rows),
        )

    def _inputs(self, those: Sequence[Slice], rows: Tensor) -> Any:
        if all(each.inputs is None for each in those):
            return _rows_of(self.table.inputs, rows)

        parts = [
            take_rows(self.table.inputs, each.rows) if each.inputs is None else each.inputs
            for each in those
        ]
        return joined_rows(parts)

    def _targets(self, one: Slice) -> np.ndarray[Any, Any]:
        if one.targets is not None:
            return one.targets
        found: np.ndarray[Any, Any] = self.table.targets[one.rows.numpy()]
        return found


def _taken(values: "np.ndarray[Any, Any] | None", rows: Tensor) -> "np.ndarray[Any, Any] | None":
    if values is None:
        return None
    found: np.ndarray[Any, Any] = values[rows.numpy()]
    return found


def _rows_of(inputs: Any, rows: Tensor) -> Any:
    if hasattr(inputs, "index_select"):
        return take_rows(inputs, rows)
    return take(inputs, rows)


@dataclass(frozen=True)
class Calendar:
    """How slices without dates follow one another.

    Attributes:
        begins: When the first one begins.
        every: How long each is: `day`, `week`, `month` or `year`.
    """

    begins: datetime
    every: str

    @classmethod
    def of(cls, begins: object, every: object) -> "Calendar":
        """As the config has it.

        Raises:
            ConfigError: That is no date, or no unit.
        """
        if every not in UNITS:
            raise ConfigError(
                f"job.every={every}: expected {', '.join(UNITS)}{nearest(str(every), UNITS)}"
            )
        try:
            found = datetime.fromisoformat(str(begins))
        except ValueError:
            raise ConfigError(f"job.begins={begins}: expected a date, '2024-01-01'") from None

        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return cls(found.astimezone(UTC), str(every))

    def ends(self, count: int) -> list[datetime]:
        """Return when so many slices end."""
        found: list[datetime] = []
        last = self.begins
        for _ in range(count):
            last = end_of(last, self.every)
            found.append(last)
        return found


def arrivals_of(
    table: Table,
    source: Source,
    scenario: Scenario,
    calendar: Calendar,
    asked: Problem | None,
    seed: int,
) -> Arrivals:
    """Cut what a source has read into slices: by its times, or by a scenario.

    Args:
        table: What was read.
        source: That has read it.
        scenario: Whose chunks are the slices; without one they go by time.
        calendar: How long slices are, and where they have no dates when the first begins.
        asked: The problem that the config names; None leaves that to the targets.
        seed: The scenario's.

    Raises:
        ConfigError: Nothing says when examples came, or two things say it otherwise.
        DataError: A slice has no examples.
    """
    if isinstance(scenario, NoScenario):
        return Arrivals(table, _by_time(table, calendar))

    if table.times is not None and not isinstance(scenario, TimeIncremental):
        raise ConfigError(
            f"data.time={table.held_by[1]} says when examples came, and this scenario cuts "
            "otherwise: leave one of them out, or scenario=time_incremental"
        )

    ends = _ends_of(table, scenario, calendar)
    problem, _, _ = problem_of(targets_of(table, "data.train"), None, asked)
    columns = _columns(table, problem, source) | scenario.marks(table, "data.train")
    slices = []
    for index, moment in enumerate(ends):
        chunk = scenario.cut(columns, index, part="train", seed=seed, num_classes=problem.classes)
        if not length(chunk):
            raise DataError(f"slice {index + 1} of {len(ends)} has no examples: give fewer")
        slices.append(_slice_of(chunk, columns, problem, table, moment))

    return Arrivals(table, slices)


def _by_time(table: Table, calendar: Calendar) -> list[Slice]:
    if table.times is None:
        raise ConfigError(
            "job=simulate needs to know when examples came: data=files data.time=COLUMN, or a "
            "scenario whose chunks follow one another, scenario=iid"
        )
    if table.held_by[2] == NUMBER:
        raise DataError(
            f"data.time={table.held_by[1]} holds numbers, job.every={calendar.every} expects "
            "dates: scenario=time_incremental scenario.chunks=20 cuts by count"
        )

    lasts = unit_ends(table.times, calendar.every)
    places = np.searchsorted(np.array(lasts), table.times)
    order = np.argsort(places, kind="stable")
    parts = np.split(order, np.searchsorted(places[order], np.arange(1, len(lasts))))
    return [
        Slice(torch.from_numpy(rows), end_of(_moment(last), calendar.every))
        for rows, last in zip(parts, lasts, strict=True)
    ]


def _ends_of(table: Table, scenario: Scenario, calendar: Calendar) -> list[datetime]:
    """When each chunk of a scenario had come."""
    lasts = scenario.ends(table)
    if not isinstance(scenario, TimeIncremental) or table.held_by[2] == NUMBER:
        return calendar.ends(scenario.chunks)
    if scenario.every is not None:
        return [end_of(_moment(last), scenario.every) for last in lasts]

    return [_moment(last) for last in lasts]


def _moment(microseconds: float) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=int(microseconds))
    except OverflowError:
        raise DataError(
            f"data.time: {int(microseconds)} microseconds from 1970 are beyond the year 9999"
        ) from None


def _columns(table: Table, problem: Problem, source: Source) -> Columns:
    """What a scenario cuts by. Inputs that have to be encoded are none of it: an encoder is fitted
    to the first slices alone.
    """
    columns: Columns = {
        "targets": torch.from_numpy(problem.encode(targets_of(table, "data.train"))),
        ROW: torch.arange(len(table.targets)),
    }
    if source.encoder is not None:
        return columns
    return columns | named_columns(check_storable(table.inputs, len(table.targets), "data.train"))


def _slice_of(
    chunk: Columns, columns: Columns, problem: Problem, table: Table, ends: datetime
) -> Slice:
    """A chunk as rows of the table, with what the scenario has made of them."""
    rows = chunk[ROW]
    inputs = None
    given = columns.get("inputs")
    if isinstance(given, Tensor) and not torch.equal(chunk["inputs"], take_rows(given, rows)):
        inputs = chunk["inputs"]

    targets = None
    changed = chunk["targets"] != columns["targets"][rows]
    if bool(changed.any()):
        targets = table.targets[rows.numpy()].copy()
        labels = np.array(problem.labels, dtype=targets.dtype)
        where = changed.numpy()
        targets[where] = labels[chunk["targets"].numpy()[where]]

    return Slice(rows, ends, inputs, targets)
