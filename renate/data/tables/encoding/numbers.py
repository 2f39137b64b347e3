"""Columns of numbers and of booleans."""

from typing import Any

import numpy as np

from renate.data.tables.encoding.base import Array, ColumnEncoding, Rules, finite_number, need
from renate.data.tables.encoding.cells import numbers_of


class Numbers(ColumnEncoding):
    """Missing values filled with the median, then mean and deviation taken off, if asked for.

    A column that is constant in training is only shifted.

    Attributes:
        median: Of the values that training had; 0 where it had none.
        mean: Taken off; 0 where numbers stay as they are.
        std: Divided by, above 0; 1 where numbers stay as they are.
    """

    kind = "number"

    def __init__(self, name: str, stored: str) -> None:
        super().__init__(name, stored)
        self.median = 0.0
        self.mean = 0.0
        self.std = 1.0

    def cells(self, values: Any) -> Array:
        """Return float32 [N], NaN where a value is missing."""
        return numbers_of(values, self.name)

    def missing(self, cells: Array) -> Array:
        """Return whether each value is missing, bool [N]."""
        return np.isnan(cells)

    def fit(self, cells: Array, rules: Rules) -> None:
        """Learn median, mean and deviation, of the values that are there."""
        gone = self.missing(cells)
        self.flagged = rules.flags(bool(gone.any()))
        known = cells[~gone].astype(np.float64)
        if not len(known):
            return

        self.median = self._middle(known)
        if not self._scales(rules):
            return

        self.mean = float(known.mean())
        std = float(known.std())
        # Rounding leaves a constant column a deviation that is none
        if std > 1e-12 * float(np.abs(known).max()):
            self.std = std

    def _middle(self, known: Array) -> float:
        return float(np.median(known))

    def _scales(self, rules: Rules) -> bool:
        return rules.standardize

    @property
    def parts(self) -> list[str]:
        """The column's own name, and one for the flag."""
        return [self.name, f"{self.name} missing"] if self.flagged else [self.name]

    def fill(self, cells: Array, out: Array) -> None:
        """Write the numbers, and 1 where one is missing."""
        gone = self.missing(cells)
        known = np.where(gone, self.median, cells.astype(np.float64))
        out[:, 0] = (known - self.mean) / self.std
        if self.flagged:
            out[:, 1] = gone

    def fitted(self) -> dict[str, Any]:
        """Return `median`, `mean` and `std`."""
        return {"median": self.median, "mean": self.mean, "std": self.std}

    def restore(self, fitted: dict[str, Any]) -> None:
        """Take them back."""
        self.median = finite_number(fitted, "median", self.name)
        self.mean = finite_number(fitted, "mean", self.name)
        self.std = finite_number(fitted, "std", self.name)
        need(self.std > 0, f"column '{self.name}': std is not above 0")

    def remark(self, cells: Array) -> str | None:
        """Say how many are filled where training had none missing."""
        gone = int(self.missing(cells).sum())
        if not gone or self.flagged:
            return None
        values = "1 missing value is" if gone == 1 else f"{gone} missing values are"
        return f"column '{self.name}': {values} taken as {self.median:g}, the median"


class Booleans(Numbers):
    """0 and 1; a missing one is what most are."""

    kind = "boolean"

    def _middle(self, known: Array) -> float:
        return float(known.mean() > 0.5)

    def _scales(self, rules: Rules) -> bool:
        return False
