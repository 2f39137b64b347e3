"""CSV: what is text, and what is a number of which nothing is lost."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from renate.data.tables.columns import strings
from renate.data.tables.csv_files.dialect import Dialect

# What programs write for a value that isn't there. In a column of numbers it is one that is
# missing; in text it is text, since "NA" is Namibia's code.
MISSING = [
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "#NA",
    "NULL",
    "null",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "None",
    "<NA>",
]
# A zero in front or a plus sign is a spelling that a number wouldn't keep: 01067 is a postcode.
WHOLE = r"^(0|-?[1-9][0-9]*)$"
NUMBER = (
    r"^-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$|^-?(inf|Inf|INF|[Ii]nfinity)$"
)
BOOLEAN = r"^(true|True|TRUE|false|False|FALSE)$"


def typed(
    tables: Mapping[str, Any], dialect: Dialect, as_text: Collection[str] = ()
) -> dict[str, Any]:
    """Return the same tables of text, with numbers and booleans in the columns that hold nothing
    else.

    A column has one kind in all tables, which depends on all their rows and on no order of them:
    int64 where every value is whole, else float64 where every value is a number, else boolean, else
    text as it is spelt. Digits that int64 can't hold stay text.

    Args:
        tables: file -> Arrow table of strings.
        dialect: How numbers are written, and what stands for a value that isn't there.
        as_text: Columns that stay as they are spelt, whatever these tables hold of them.
    """
    import pyarrow as pa

    result = dict(tables)

    for name in dict.fromkeys(name for table in tables.values() for name in table.column_names):
        holders = [file for file, table in tables.items() if name in table.column_names]
        chunks = [chunk for file in holders for chunk in tables[file].column(name).chunks]
        texts = without(pa.chunked_array(chunks, pa.string()), dialect.missing)
        values = texts
        if name not in as_text:
            values = _values(texts, dialect)
        if values is None:
            values = texts

        begin = 0
        for file in holders:
            table = result[file]
            part = values.slice(begin, table.num_rows)
            begin += table.num_rows
            result[file] = table.set_column(table.column_names.index(name), name, part)

    return result


def without(texts: Any, missing: Collection[str]) -> Any:
    """Return the texts, null where they only say that there is no value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not missing:
        return texts

    odd = pc.is_in(pc.utf8_trim_whitespace(texts), strings(list(missing)))
    return pc.if_else(odd, pa.nulls(1, pa.string())[0], texts)


def _plainly(texts: Any, dialect: Dialect) -> Any:
    """Return numbers of a dialect as a program spells them; what is no number there stays, or
    becomes what is no number here either.
    """
    import pyarrow.compute as pc

    if dialect.decimal in (None, ".") and dialect.thousands is None:
        return texts

    point = dialect.decimal or "."
    if dialect.thousands is not None:
        sign = re.escape(dialect.thousands)
        grouped = rf"^-?[0-9]{{1,3}}({sign}[0-9]{{3}})+({re.escape(point)}[0-9]*)?$"
        plain = pc.replace_substring(texts, dialect.thousands, "")
        texts = pc.if_else(pc.match_substring_regex(texts, grouped), plain, texts)

    if point == ".":
        return texts

    # A point means something else there: two in one value are no number anywhere
    texts = pc.replace_substring(texts, ".", "..")
    return pc.replace_substring(texts, point, ".")


def _values(texts: Any, dialect: Dialect) -> Any:
    """Return text as numbers or booleans, null where a value is missing; None where it must stay
    text.
    """
    import pyarrow as pa

    found = Spelling(dialect)
    found.widen(texts)
    kind = found.kind
    if kind is None:
        return None
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(texts))])
    return found.cast(texts, kind)


class Spelling:
    """What a column of text may be, by all of its values that were looked at.

    Args:
        dialect: How numbers are written.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.rows = 0
        self.is_missing = True
        self.is_empty = True
        # Of each kind in order, whether all values look like it, and whether it can hold them
        self.fits = dict.fromkeys((WHOLE, NUMBER, BOOLEAN), True)
        self.holds = dict.fromkeys((WHOLE, NUMBER, BOOLEAN), True)

    def widen(self, texts: Any) -> None:
        """Look at some of the values, an Arrow column of strings."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(texts):
            return

        trimmed, missing, filled = self._filled(texts)
        self.rows += len(texts)
        self.is_missing &= pc.all(missing).as_py()
        blank = pc.fill_null(trimmed, strings([""])[0])
        self.is_empty &= pc.all(pc.equal(blank, strings([""])[0])).as_py()

        for pattern, kind in _kinds():
            if not self.fits[pattern]:
                continue
            # Of values that are all missing it is null
            if pc.all(pc.match_substring_regex(filled, pattern)).as_py() is False:
                self.fits[pattern] = False
                continue
            try:
                pc.utf8_lower(filled).cast(kind)
            except pa.ArrowInvalid:
                self.holds[pattern] = False

    @property
    def kind(self) -> Any:
        """The Arrow type of the column, null where it is empty; None where it must stay text."""
        import pyarrow as pa

        if not self.rows or (self.is_missing and not self.is_empty):
            return None
        # What they are like is the other files' to say
        if self.is_missing:
            return pa.null()

        first = next((pair for pair in _kinds() if self.fits[pair[0]]), None)
        if first is None or not self.holds[first[0]]:
            return None
        return first[1]

    def cast(self, texts: Any, kind: Any) -> Any:
        """Return values as that type, null where one is missing."""
        import pyarrow.compute as pc

        return pc.utf8_lower(self._filled(texts)[2]).cast(kind)

    def _filled(self, texts: Any) -> tuple[Any, Any, Any]:
        """Texts without blanks at their ends, which are missing, and null in their place."""
        import pyarrow as pa
        import pyarrow.compute as pc

        trimmed = pc.utf8_trim_whitespace(texts)
        missing = pc.or_(pc.is_in(trimmed, strings(MISSING)), pc.is_null(trimmed))
        filled = pc.if_else(missing, pa.nulls(1, pa.string())[0], _plainly(trimmed, self.dialect))
        return trimmed, missing, filled


def _kinds() -> tuple[tuple[str, Any], ...]:
    """Pattern and type of what a column may be, in order."""
    import pyarrow as pa

    return ((WHOLE, pa.int64()), (NUMBER, pa.float64()), (BOOLEAN, pa.bool_()))


def is_number(text: str) -> bool:
    """Whether a value would be one in a column of numbers."""
    return bool(re.match(NUMBER, text.strip())) or text.strip() in MISSING


def is_boolean(text: str) -> bool:
    """Whether a value would be one in a column of booleans."""
    return bool(re.match(BOOLEAN, text.strip())) or text.strip() in MISSING
