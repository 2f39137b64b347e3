"""Chunks that follow one another in time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from renate.data.batch import Columns
from renate.data.mapped.rows import select_rows
from renate.data.scenarios.base import Scenario
from renate.data.table import Table
from renate.errors import ConfigError, DataError, nearest

PERIOD = "scenario.period"  # a column that cutting needs, and no chunk has
UNITS = ("day", "week", "month", "year")
DAY = 86_400_000_000  # in the unit of times, microseconds
MONDAY = 3  # days from a Monday to 1970-01-01

Times = np.ndarray[Any, Any]


class TimeIncremental(Scenario):
    """Each chunk has the examples of a period, by `data.time`; of each the newest are held out, and
    those that are tested on are measured as its own.

    Args:
        chunks: Number of chunks.
        every: `day`, `week` (from Monday), `month` or `year` in UTC: each chunk is one in which
            there are examples, the first so many of them; what is later is left out. None cuts into
            chunks of (nearly) equally many examples, of which those of one time stay together.
    """

    own = (PERIOD,)
    cut_by = "examples of its time"

    def __init__(self, chunks: int, every: str | None) -> None:
        super().__init__(chunks)
        if every is not None and every not in UNITS:
            raise ConfigError(
                f"scenario.every={every}: expected {', '.join(UNITS)} or null"
                f"{nearest(str(every), UNITS)}"
            )
        self.every = every
        self.found: list[float] = []
        self.kind = ""

    def ends(self, table: Table) -> list[float]:
        """Return the time of the newest example of each chunk, by the training data.

        Raises:
            DataError: The data have no times, no dates, or not as many periods.
        """
        self.notes = []
        if table.times is None:
            raise DataError(
                "scenario=time_incremental cuts by time: data=files data.time=COLUMN says when "
                "each example was"
            )

        self.kind = table.held_by[2]
        if self.every is None:
            self.found = _equal_ends(table.times, self.chunks)
            return self.found

        if self.kind == "number":
            raise DataError(
                f"scenario.every={self.every}: data.time={table.held_by[1]} holds numbers, "
                "expected dates; scenario.every=null cuts by count"
            )

        ends = unit_ends(table.times, self.every)
        if len(ends) < self.chunks:
            raise DataError(
                f"scenario.chunks={self.chunks}: data.time={table.held_by[1]} has examples in "
                f"{len(ends)} {self.every}s: scenario.chunks={len(ends)}"
            )

        later = int((table.times > ends[self.chunks - 1]).sum())
        if later:
            self.notes = [
                f"scenario: the first {self.chunks} of {len(ends)} {self.every}s are used, "
                f"{later:,} later examples of data.train are left out"
            ]

        self.found = ends[: self.chunks]
        return self.found

    def marks(self, table: Table, key: str) -> Columns:
        """Return in which chunk's period each row is, int64 [N]; what is later than all has the
        number of chunks.

        Raises:
            DataError: The rows have no times, or of another kind than those that are trained on.
        """
        if table.times is None:
            raise DataError(
                f"{key}: scenario=time_incremental cuts by time, and these rows have none: give "
                "them the column of data.time"
            )

        if table.held_by[2] != self.kind:
            raise DataError(
                f"{key}: data.time={table.held_by[1]} is {table.held_by[2]} there, in data.train "
                f"{self.kind}: which is earlier can't be told, write both alike"
            )

        place = np.searchsorted(np.array(self.found), table.times)
        later = int((place == len(self.found)).sum())
        if later and key != "data.train":
            self.notes.append(
                f"scenario: {later:,} examples of {key} are later than the last chunk, and left out"
            )
        return {PERIOD: torch.from_numpy(place)}

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return the rows of a chunk's period, in their order.

        Raises:
            DataError: The source doesn't say when its examples were.
        """
        if PERIOD not in columns:
            raise DataError(f"data.{part}: scenario=time_incremental cuts by data.time")
        return select_rows(columns, (columns[PERIOD] == index).nonzero()[:, 0])


def _equal_ends(times: Times, chunks: int) -> list[float]:
    """The ends of chunks of (nearly) equally many of the times.

    Raises:
        DataError: There are fewer times than chunks.
    """
    found, counts = np.unique(times, return_counts=True)
    if len(found) < chunks:
        raise DataError(
            f"scenario.chunks={chunks}: data.time has {len(found)} different times, and examples "
            "of one time stay together: give fewer chunks"
        )

    ends: list[float] = []
    until = counts.cumsum()
    begin = 0
    for number in range(1, chunks):
        # One time at least for this chunk, and for each that follows
        last = len(found) - (chunks - number) - 1
        wanted = number * len(times) / chunks
        place = int(np.abs(until[begin : last + 1] - wanted).argmin()) + begin
        ends.append(found[place].item())
        begin = place + 1

    return [*ends, found[-1].item()]


def unit_ends(times: Times, unit: str) -> list[float]:
    """The newest time of each day, week, month or year in which there are some."""
    order = np.sort(times)
    place = _units_of(order, unit)
    lasts = np.flatnonzero(np.append(place[1:] != place[:-1], True))
    found: Sequence[float] = order[lasts].tolist()
    return list(found)


def _units_of(times: Times, unit: str) -> Times:
    """The number of the day, week, month or year of each time."""
    days = times // DAY
    if unit == "day":
        return days
    if unit == "week":
        found: Times = (days + MONDAY) // 7
        return found

    return days.astype("M8[D]").astype(f"M8[{unit[0].upper()}]").astype(np.int64)
