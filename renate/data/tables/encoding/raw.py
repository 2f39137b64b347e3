"""Files' columns on their way to an encoder: which kind each is of, and their cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from renate.data.kept.encoders import Encoder
from renate.data.tables.columns import is_text
from renate.data.tables.encoding.arrow import ISO_ZONED, cells_of
from renate.data.tables.encoding.cells import Array, CellError
from renate.data.tables.encoding.encoder import STORED, TableEncoder
from renate.data.tables.encoding.told import TextColumn
from renate.data.tables.parquet import Read
from renate.data.tables.values import Places
from renate.errors import ConfigError, DataError, nearest

POSSIBLE = {
    "number": ("number", "boolean", "category"),
    "boolean": ("boolean", "number", "category"),
    "text": ("text", "category", "date", "number", "boolean"),
    "date": ("date",),
    "instant": ("date",),
}


@dataclass(frozen=True)
class RawTables:
    """Tables of files whose columns are to be encoded.

    Attributes:
        reads: What was read of each file.
        places: Where their rows come from.
        date_format: How dates are written in texts.
    """

    reads: Sequence[Read]
    places: Places
    date_format: str | None

    def are_encoded(
        self, stored: Mapping[str, str], asked: Encoder | None, encoder: TableEncoder
    ) -> bool:
        """Whether these columns go through an encoder of tables at a first update; it then is told
        which there are.

        Args:
            stored: name -> what files hold it as.
            asked: The encoder that the config asks for, whatever the columns are.
            encoder: Would encode them.

        Raises:
            DataError: It is asked for images, or a column's kind can't be told safely.
            ConfigError: `data.kinds` names no column, or a kind that it can't be.
        """
        forced = isinstance(asked, TableEncoder)
        if "image" in stored.values():
            if forced:
                raise DataError(
                    f"{self.places.title} has images, and data.missing={encoder.missing}, "
                    f"data.categories={encoder.categories} are about numbers and texts: auto, "
                    "one_hot"
                )
            return False

        if not forced and not self.needs_encoder(stored, encoder):
            return False
        self.declare(encoder, stored)
        return True

    def needs_encoder(self, stored: Mapping[str, str], encoder: TableEncoder) -> bool:
        """Whether inputs are anything else than numbers and booleans of which none is missing.

        Args:
            stored: name -> what files hold it as.
            encoder: What would encode them; its rules say whether values may be missing.
        """
        if any(kind not in STORED and kind != "null" for kind in stored.values()):
            return False
        if encoder.kinds or not set(stored.values()) <= {"number", "boolean", "null"}:
            return True

        return encoder.missing != "error" and any(self._lacks_some(name) for name in stored)

    @cached_property
    def _whole(self) -> Any:
        """Arrow's table of what is read of all files, which copies nothing: of many small files
        one look costs less than one for each. None where files differ in their columns.
        """
        import pyarrow as pa

        try:
            return pa.concat_tables([read.table for read in self.reads])
        except pa.ArrowInvalid:
            return None

    def are_filled(self, names: Iterable[str]) -> bool:
        """Whether these columns are known to have a value in each row, at one look."""
        return self._whole is not None and all(
            name in self._whole.column_names and not self._whole.column(name).null_count
            for name in names
        )

    def _lacks_some(self, name: str) -> bool:
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = [read.column(name) for read in self.reads if name in read.unread]
        if any(column.lacks_some for column in columns):  # numbers that are larger than memory
            return True

        if self._whole is not None and not columns:
            columns = [self._whole.column(name)]
        else:
            columns = [read.column(name) for read in self.reads if name not in read.unread]

        return any(
            column.null_count
            or (pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py())
            for column in columns
        )

    def declare(self, encoder: TableEncoder, stored: Mapping[str, str]) -> None:
        """Tell an encoder which columns there are, and of which kind each is.

        Raises:
            DataError: A column's kind can't be told safely.
            ConfigError: `data.kinds` names no column, or a kind that it can't be.
        """
        kinds = encoder.kinds or {}
        for name in kinds:
            if name not in stored:
                raise ConfigError(
                    f"data.kinds.{name}: no input of that name{nearest(name, list(stored))}"
                )

        encoder.declare([self._told(name, stored, encoder, kinds.get(name)) for name in stored])

    def _told(
        self, name: str, stored: Mapping[str, str], encoder: TableEncoder, asked: str | None
    ) -> tuple[str, str, str]:
        """(name, kind, what files hold it as) of a column."""
        held = stored[name]
        if held == "null":
            held = "text"
        if asked is not None and asked not in POSSIBLE[held]:
            raise ConfigError(
                f"data.kinds.{name}={asked}: {self.places.title} holds the column as {held}, which "
                f"can be {' or '.join(POSSIBLE[held])}"
            )

        kind = asked
        if kind is None and held == "text":
            kind = self._text_column(name, stored, encoder).kind()
        elif kind is None:
            kind = "date" if held == "instant" else held

        if kind == "date" and held == "text" and holds_zones(self._texts(name)):
            held = "zoned text"
        return name, kind, held

    def _texts(self, name: str) -> Any:
        import pyarrow as pa

        chunks = []
        for read in self.reads:
            column = read.table.column(name)
            chunks += (column if is_text(column.type) else column.cast(pa.string())).chunks
        return pa.chunked_array(chunks, pa.string())

    def _text_column(
        self, name: str, stored: Mapping[str, str], encoder: TableEncoder
    ) -> TextColumn:
        others = [other for other in stored if other != name and stored[other] != "null"]
        categories = any(name in read.categories for read in self.reads)
        return TextColumn(
            name,
            self._texts(name),
            self.places,
            categories,
            encoder.max_categories,
            others,
            self.date_format,
        )

    def cells(self, encoder: TableEncoder) -> dict[str, Array]:
        """Return the cells of each column, all files' one after the other.

        Raises:
            DataError: A value is of another kind: by file, row and column.
        """
        return {name: self._cells_of(name, encoder) for name, _ in encoder.stored}

    def _cells_of(self, name: str, encoder: TableEncoder) -> Array:
        encoding = encoder.encoding_of(name)
        parts = []
        for file, read in zip(self.places.files, self.reads, strict=True):
            column = read.table.column(name)
            where = f"{file}: column '{name}'"
            try:
                parts.append(cells_of(column, encoding, where, self.date_format))
            except CellError as error:
                raise error.at(file, self.places.row_in(file, error.row)) from error

        found: Array = np.concatenate(parts)
        return found


def holds_zones(texts: Any) -> bool:
    """Whether some text is a time in ISO 8601 with a zone."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(texts, ISO_ZONED)).as_py())


def check_filled(file: str, read: Read, names: Sequence[str], remedy: str) -> None:
    """Return if columns have a value in each row.

    Raises:
        DataError: One hasn't.
    """
    for name in names:
        if empty := read.column(name).null_count:
            raise DataError(f"{file}: column '{name}' has {empty} empty values: {remedy}")
