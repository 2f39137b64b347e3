"""Columns of dates and times."""

from typing import Any

import numpy as np

from renate.data.tables.encoding.base import Array, ColumnEncoding, Rules, finite_number, need
from renate.data.tables.encoding.cells import MICROSECONDS, dates_of

DAY = 86_400_000_000  # microseconds
YEAR = 365.25 * DAY
MONTHS = 12
DAYS = 31
WEEK = 7
MINUTES = 1440
ZONED = ("instant", "zoned text")  # how files hold what has a time zone
THURSDAY = 3  # of 1970-01-01, from Monday on


class Dates(ColumnEncoding):
    """Where a date stands in the year, the month, the week and, if training has times, the day, as
    sine and cosine; and the years since the first day that training had.

    Years, and not days on training's own scale: weeks later they are still small numbers. Of a
    missing date all but the years are 0, and these are the median's.

    Attributes:
        origin: The first day, in microseconds since 1970.
        median: Of the years since then.
        timed: Whether some value isn't midnight.
    """

    kind = "date"

    def __init__(self, name: str, stored: str) -> None:
        super().__init__(name, stored)
        self.origin = 0
        self.median = 0.0
        self.timed = False

    def cells(self, values: Any) -> Array:
        """Return datetime64[us] [N], NaT where a value is missing."""
        return dates_of(values, self.name, zoned=self.stored in ZONED)

    def missing(self, cells: Array) -> Array:
        """Return whether each value is missing, bool [N]."""
        return np.isnat(cells)

    def fit(self, cells: Array, rules: Rules) -> None:
        """Learn the first day, the median, and whether there are times."""
        gone = self.missing(cells)
        self.flagged = rules.flags(bool(gone.any()))
        known = cells[~gone].astype(np.int64)
        if not len(known):
            return

        self.origin = int(known.min()) // DAY * DAY
        self.median = float(np.median((known - self.origin) / YEAR))
        self.timed = bool((known % DAY != 0).any())

    @property
    def parts(self) -> list[str]:
        """A name for each field."""
        circles = ["month", "day", "weekday", *["time"] * self.timed]
        names = [f"{self.name} {field} {way}" for field in circles for way in ("sin", "cos")]
        return [f"{self.name} years", *names, *[f"{self.name} missing"] * self.flagged]

    def fill(self, cells: Array, out: Array) -> None:
        """Write the fields."""
        gone = self.missing(cells)
        known = cells[~gone]
        microseconds = known.astype(np.int64)
        months = known.astype("datetime64[M]")

        out[:, 0] = self.median
        out[~gone, 0] = (microseconds - self.origin) / YEAR
        fields = [
            (months.astype(np.int64) % MONTHS, MONTHS),
            ((known.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int), DAYS),
            ((microseconds // DAY + THURSDAY) % WEEK, WEEK),
        ]
        if self.timed:
            fields.append((microseconds % DAY // (DAY // MINUTES), MINUTES))

        for place, (values, period) in enumerate(fields):
            # From a table: the same whole number gives the same bits, however many rows there are
            angles = 2 * np.pi * np.arange(period) / period
            out[~gone, 1 + 2 * place] = np.sin(angles)[values]
            out[~gone, 2 + 2 * place] = np.cos(angles)[values]

        if self.flagged:
            out[:, -1] = gone

    def fitted(self) -> dict[str, Any]:
        """Return `origin`, `median` and `timed`."""
        return {"origin": self.origin, "median": self.median, "timed": self.timed}

    def restore(self, fitted: dict[str, Any]) -> None:
        """Take them back."""
        origin = fitted["origin"]
        good = type(origin) is int and abs(origin) < 2**62 and origin % DAY == 0
        need(good, f"column '{self.name}': origin is no day")
        need(isinstance(fitted["timed"], bool), f"column '{self.name}': timed is no boolean")
        self.origin = origin
        self.median = finite_number(fitted, "median", self.name)
        self.timed = fitted["timed"]

    def remark(self, cells: Array) -> str | None:
        """Say how many are missing where training had none."""
        gone = int(self.missing(cells).sum())
        if not gone or self.flagged:
            return None

        first = np.datetime64(self.origin + int(self.median * YEAR), "us").astype(MICROSECONDS)
        dates = "1 missing date is" if gone == 1 else f"{gone} missing dates are"
        return f"column '{self.name}': {dates} taken as {str(first)[:10]}, the median"
