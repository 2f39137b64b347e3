"""Columns of categories."""

from collections import Counter
from typing import Any

import numpy as np

from renate.data.tables.encoding.base import Array, ColumnEncoding, Rules, need
from renate.data.tables.encoding.cells import CellError, texts_of
from renate.errors import DataError, and_more

# Codes of embedded categories; those that are known follow.
OTHER = 0
GONE = 1
KNOWN = 2


class Categories(ColumnEncoding):
    """One of the most frequent values that training had, by its text; the rest is `other`.

    As one hot there is a column for each. `other` and `missing` have one where training had such
    values; else they are zeros alone, which says nothing that the model hasn't learned.

    Attributes:
        values: Those that are known, sorted.
        others: Whether training had further ones.
        refuses: Whether an unseen one is an error.
    """

    kind = "category"

    def __init__(self, name: str, stored: str) -> None:
        super().__init__(name, stored)
        self.values: list[str] = []
        self.others = False
        self.refuses = False
        self.embedded = False

    def cells(self, values: Any) -> Array:
        """Return texts [N] of dtype object, None where a value is missing."""
        numbers = self.stored in ("number", "boolean")
        return texts_of(values, self.name, numbers=numbers, trimmed=True)

    def missing(self, cells: Array) -> Array:
        """Return whether each value is missing, bool [N]."""
        return np.array([value is None for value in cells.tolist()], bool)

    def fit(self, cells: Array, rules: Rules) -> None:
        """Learn which values there are; of equally frequent ones the first in sorted order."""
        counts = Counter(cells.tolist())
        gone = counts.pop(None, 0)
        order = sorted(counts, key=lambda value: (-counts[value], value))
        if rules.unseen == "error" and len(order) > rules.max_categories:
            raise DataError(
                f"data.max_categories={rules.max_categories}: column '{self.name}' has "
                f"{len(order)}, and data.unseen=error lets none be 'other': "
                f"data.max_categories={len(order)}"
            )

        self.values = sorted(order[: rules.max_categories])
        self.others = len(order) > len(self.values)
        self.flagged = rules.missing == "flag" or gone > 0
        self.refuses = rules.unseen == "error"
        self.embedded = rules.categories == "embed"

    @property
    def cardinality(self) -> int:
        """How many codes there are."""
        return KNOWN + len(self.values)

    @property
    def parts(self) -> list[str]:
        """A name for each value, for the others and for those that are missing."""
        if self.embedded:
            return []

        further = [f"{self.name} other"] * self.others + [f"{self.name} missing"] * self.flagged
        return [f"{self.name}={value}" for value in self.values] + further

    def codes(self, cells: Array) -> Array:
        """Return int64 [N]: 0 for others, 1 for missing ones, from 2 on those that are known.

        Raises:
            CellError: One is unseen, and that is an error.
        """
        index: dict[str | None, int] = {None: GONE}
        index |= {value: code for code, value in enumerate(self.values, KNOWN)}
        found = np.array([index.get(value, OTHER) for value in cells.tolist()], np.int64)

        if self.refuses:
            odd = np.flatnonzero(found == OTHER)
            if len(odd):
                row = int(odd[0])
                raise CellError(
                    self.name,
                    row,
                    f"holds {cells[row]!r}, which training hasn't seen: correct it, or take it as "
                    "any other by data.unseen=other (in another state)",
                )

        return found

    def fill(self, cells: Array, out: Array) -> None:
        """Write 1 at the place of each value."""
        if self.embedded:
            return

        codes = self.codes(cells)
        rows = np.arange(len(codes))
        known = codes >= KNOWN
        out[rows[known], codes[known] - KNOWN] = 1
        place = len(self.values)
        if self.others:
            out[codes == OTHER, place] = 1
            place += 1
        if self.flagged:
            out[codes == GONE, place] = 1

    def fitted(self) -> dict[str, Any]:
        """Return `values` and what becomes of others."""
        return {
            "values": self.values,
            "others": self.others,
            "refuses": self.refuses,
            "embedded": self.embedded,
        }

    def restore(self, fitted: dict[str, Any]) -> None:
        """Take them back."""
        values = fitted["values"]
        good = isinstance(values, list) and all(isinstance(v, str) and v for v in values)
        need(good and len(values) <= 100_000, f"column '{self.name}': values are no texts")
        need(values == sorted(set(values)), f"column '{self.name}': values aren't sorted")
        for key in ("others", "refuses", "embedded"):
            need(isinstance(fitted[key], bool), f"column '{self.name}': {key} is no boolean")

        self.values = list(values)
        self.others = fitted["others"]
        self.refuses = fitted["refuses"]
        self.embedded = fitted["embedded"]

    def remark(self, cells: Array) -> str | None:
        """Name some of the values that training hadn't."""
        if self.others:
            return None

        new = sorted(set(cells.tolist()) - set(self.values) - {None})
        if not new:
            return None

        shown = ", ".join(repr(value[:40]) for value in new[:3])
        more = and_more(len(new) - 3)
        was = "wasn't" if len(new) == 1 else "weren't"
        return f"column '{self.name}': {shown}{more} {was} there in training: taken as 'other'"
