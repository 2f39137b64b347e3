"""What kind a column is of, told from its values where that is safe."""

import re
from dataclasses import dataclass
from typing import Any

from renate.data.tables.columns import strings
from renate.data.tables.csv_files.typed import MISSING, NUMBER
from renate.data.tables.encoding.arrow import ISO, ISO_ZONED, first_that, of_format
from renate.data.tables.values import Places
from renate.errors import DataError

# Numbers that a program wouldn't read as such, and what makes them so.
COMMA = r"^-?[0-9.' ]*[0-9],[0-9]+$"
SIGNED = r"^[-+]?\s*([€$£¥]\s*[0-9][0-9.,' ]*|[0-9][0-9.,' ]*\s*([%‰€$£¥]|°[CF]?))$"
GROUPED = r"-?[0-9]{1,3}(,[0-9]{3})+"
# A spelling that a number would lose: a postcode, a telephone number.
CODE = r"^(\+|0)[0-9]+$"
DATE = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([ T].*)?$"
MOSTLY = 0.9  # of the values, from which on the others are the odd ones
RARE = 0.01  # of the values: so few codes among numbers are mistakes, and no postcodes
WORDS = 3.0  # of a text, on average
IDS = 20  # rows, from which on values that are all different are names of rows


@dataclass(frozen=True)
class TextColumn:
    """A column of texts, of which has to be told what it holds.

    Attributes:
        name: Its own.
        values: ChunkedArray [N] of strings, of all training files.
        places: Where its rows come from.
        categories: Whether its writer calls it one of categories.
        most: How many categories a column may have.
        others: Columns that can be inputs as they are, for messages.
        date_format: How dates are written in texts; None is ISO 8601.
    """

    name: str
    values: Any
    places: Places
    categories: bool
    most: int
    others: list[str]
    date_format: str | None

    def kind(self) -> str:
        """Return `category`, `date` or `text`.

        Raises:
            DataError: It is empty, or looks like numbers or dates that are spelt in a way which
                has to be said.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        trimmed = pc.utf8_trim_whitespace(self.values)
        gone = pc.is_in(trimmed, strings([""]))
        known = pc.if_else(gone, pa.nulls(1, pa.string())[0], trimmed)
        count = len(known) - known.null_count
        if not count:
            raise DataError(self._empty())

        if self.categories:
            return "category"
        if self._share(known, f"{ISO}|{ISO_ZONED}") == 1 or self._is_of_format(known):
            return "date"

        self._check_numbers(known)
        self._check_dates(known)
        distinct = pc.drop_null(pc.unique(known))
        return self._of_words(distinct, count)

    def _is_of_format(self, known: Any) -> bool:
        import pyarrow.compute as pc

        if self.date_format is None:
            return False

        read = of_format(known, self.date_format)
        odd = pc.and_(pc.is_null(read), pc.is_valid(known))
        row = first_that(odd)
        if row is not None and pc.sum(odd).as_py() <= (1 - MOSTLY) * len(known):
            file, place = self.places.of(row)
            raise DataError(
                f"{file}: row {place} (the first is 0), column '{self.name}' holds "
                f"{known[row].as_py()[:40]!r}, which isn't data.csv.date_format={self.date_format} "
                "as most others"
            )

        return row is None

    def _of_words(self, distinct: Any, count: int) -> str:
        import pyarrow.compute as pc

        different = len(distinct)
        words = 1 + (pc.mean(pc.count_substring_regex(distinct, r"\s+")).as_py() or 0)
        if words >= WORDS and (different > self.most or 2 * different > count):
            return "text"
        if different == count and count >= IDS:
            raise DataError(
                f"{self.places.title}: column '{self.name}' holds {count} different values in as "
                f"many rows ({distinct[0].as_py()[:40]!r}), which say nothing of other rows: leave "
                f"it out, {self._without()}, or say what it is, data.kinds={{{self.name}:text}}"
            )

        return "category"

    def _without(self) -> str:
        if not self.others:
            return "and give others"
        return f"data.inputs=[{','.join(self.others[:20])}]"

    def _empty(self) -> str:
        return (
            f"{self.places.title}: column '{self.name}' has {len(self.values)} empty values and no "
            f"other: leave it out, {self._without()}, or say what it will hold, "
            f"data.kinds={{{self.name}:category}}"
        )

    def _share(self, known: Any, pattern: str) -> float:
        """The share of the values that are there which match."""
        import pyarrow.compute as pc

        matches = int(pc.sum(pc.match_substring_regex(known, pattern)).as_py() or 0)
        return matches / int(len(known) - known.null_count)

    def _odd(self, known: Any, pattern: str, *, matching: bool) -> tuple[str, str]:
        """Where the first value is that matches, or doesn't, and the value."""
        import pyarrow.compute as pc

        flags = pc.match_substring_regex(known, pattern)
        row = first_that(flags if matching else pc.invert(flags))
        assert row is not None
        file, place = self.places.of(row)
        where = f"{file}: row {place} (the first is 0), column '{self.name}'"
        return where, known[row].as_py()[:40]

    def _check_numbers(self, known: Any) -> None:
        """Raises DataError where most values are numbers, but not as a program spells them."""
        as_category = f"data.kinds={{{self.name}:category}} takes the column as categories"
        numbers = f"{NUMBER}|{COMMA}|{SIGNED}"
        codes = self._share(known, CODE)
        if self._share(known, f"{numbers}|{CODE}") < MOSTLY or codes > RARE:
            return

        if self._share(known, SIGNED):
            where, value = self._odd(known, SIGNED, matching=True)
            raise DataError(
                f"{where} holds {value!r}: make numbers of such values (docs/limits.md), or "
                f"{as_category}"
            )
        if self._share(known, COMMA):
            where, value = self._odd(known, COMMA, matching=True)
            remedy = "data.csv.decimal=comma reads 3,14"
            if re.fullmatch(GROUPED, value):
                remedy = "data.csv.decimal=comma or data.csv.thousands=comma says what that is"
            if "." in value or value.count(",") > 1 or "'" in value or " " in value:
                remedy = "data.csv.thousands and data.csv.decimal say what point and comma are"
            raise DataError(f"{where} holds {value!r}: {remedy}, {as_category}")

        if self._share(known, numbers) == 1:
            where, value = self._odd(known, numbers, matching=True)
            raise DataError(
                f"{where} holds {value!r}: text, or digits beyond int64; numbers that are spelt "
                f"as text data.kinds={{{self.name}:number}} takes as such, {as_category}"
            )

        where, value = self._odd(known, numbers, matching=False)
        if value in MISSING:
            remedy = f"data.kinds={{{self.name}:number}} takes it as missing"
        else:
            remedy = f"data.csv.missing=['{value}'] takes it as missing"
        raise DataError(
            f"{where} holds {value!r}, most others are numbers: {remedy}, {as_category}"
        )

    def _check_dates(self, known: Any) -> None:
        """Raises DataError where most values are dates, but not all, or not as ISO 8601 has
        them.
        """
        if self._share(known, DATE) < MOSTLY:
            return

        as_category = f"data.kinds={{{self.name}:category}} takes the column as categories"
        if self._share(known, f"{ISO}|{ISO_ZONED}") >= MOSTLY:
            where, value = self._odd(known, f"{ISO}|{ISO_ZONED}", matching=False)
            remedy = f"data.csv.missing=['{value}'] takes it as missing"
            raise DataError(
                f"{where} holds {value!r}, most others are dates as in 2026-11-27: {remedy}, "
                f"{as_category}"
            )

        where, value = self._odd(known, DATE, matching=True)
        raise DataError(
            f"{where} holds {value!r}, which may be a date: data.csv.date_format='%d.%m.%Y' says "
            f"how it is written, {as_category}"
        )
