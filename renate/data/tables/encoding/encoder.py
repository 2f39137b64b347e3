"""The encoder of a table whose columns are of several kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.kept.encoders import Encoder
from renate.data.kept.inputs import is_name
from renate.data.mapped.rows import Scratch, mapped_empty, parts
from renate.data.tables.encoding.base import Array, ColumnEncoding, Rules, need
from renate.data.tables.encoding.categories import Categories
from renate.data.tables.encoding.cells import CellError, columns_there
from renate.data.tables.encoding.dates import Dates
from renate.data.tables.encoding.numbers import Booleans, Numbers
from renate.data.tables.encoding.summary import summary_of
from renate.data.tables.encoding.texts import Texts, Tokens
from renate.data.text.tokenizer import Tokenizer
from renate.errors import nearest

OF_KIND: dict[str, type[ColumnEncoding]] = {
    each.kind: each for each in (Numbers, Booleans, Categories, Dates, Texts)
}
STORED = ("number", "boolean", "text", "date", "instant", "zoned text")
MOST = 100_000  # columns that a state may name
LONGEST = 200  # characters of the name of a part


@dataclass(kw_only=True)
class TableEncoder(Rules, Encoder):
    """Encodes each column of a table by its kind, and puts all into one float32 vector.

    With `categories=embed` there are two tensors instead: `numbers`, float32 [N, D], and
    `categories`, int64 [N, K], the code of each category below its column's cardinality. Where
    there is free text, it is `ids` beside `numbers`, see `Tokens`.

    Raw inputs are a mapping from the columns' names to values [N], in any order; other names in it
    are left alone.

    Attributes:
        scratch: Where vectors go that are larger than memory; None has no bound.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.scratch: Scratch | None = None
        self._columns: list[ColumnEncoding] = []
        self._tokens: Tokens | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments; of another's tokenizer its name, wherever it lies."""
        return super().settings | {"tokenizer": self._tokenizer().name}

    def _tokenizer(self) -> Tokenizer:
        return Tokenizer(self.tokenizer, self.vocab_size, self.lowercase, self.max_length)

    def declare(self, columns: Sequence[tuple[str, str, str]]) -> None:
        """Say which columns there are, before they are fitted: (name, kind, what files hold it
        as).
        """
        self._take([OF_KIND[kind](name, stored) for name, kind, stored in columns])

    def _take(self, columns: list[ColumnEncoding]) -> None:
        self._columns = columns
        texts = [column.name for column in columns if isinstance(column, Texts)]
        self._tokens = Tokens(texts, self._tokenizer()) if texts else None

    def encoding_of(self, name: str) -> ColumnEncoding:
        """Return how a column is encoded."""
        return next(column for column in self._columns if column.name == name)

    @property
    def raw_columns(self) -> dict[str, str]:
        """name -> kind of each column, see `Encoder`."""
        return dict(self.stored)

    @property
    def stored(self) -> tuple[tuple[str, str], ...]:
        """(name, what files hold it as) of each column, in the same order."""
        return tuple(
            (column.name, column.stored.removeprefix("zoned ")) for column in self._columns
        )

    def cells(self, raw: Any) -> list[Array]:
        """Return the values of each column as the column has them.

        Raises:
            DataError: A column isn't there, or a value is of another kind.
        """
        columns_there(raw, [column.name for column in self._columns], nearest)
        cells = [column.cells(raw[column.name]) for column in self._columns]
        if self.missing != "error":
            return cells

        for column, values in zip(self._columns, cells, strict=True):
            gone = np.flatnonzero(column.missing(values))
            if len(gone):
                raise CellError(column.name, int(gone[0]), "is empty: fill it, or drop the row")

        return cells

    def fit(self, raw: Any) -> None:
        """Learn what each column needs."""
        cells = self.cells(raw)
        for column, values in zip(self._columns, cells, strict=True):
            column.fit(values, self)

        if self._tokens is not None:
            self._tokens.fit(self._of(Texts, cells))

    def encode(self, raw: Any) -> Any:
        """Return float32 [N, D]; or name -> tensor or `Ragged` where categories are embedded, or
        there is text.
        """
        cells = self.cells(raw)
        vector = self._vector(cells)
        if not self._several:
            return vector

        tensors: dict[str, Any] = {}
        if vector.shape[1]:
            tensors["numbers"] = vector

        columns = [column for column in self._columns if isinstance(column, Categories)]
        if columns and self.categories == "embed":
            values = self._of(Categories, cells)
            codes = [column.codes(each) for column, each in zip(columns, values, strict=True)]
            tensors["categories"] = torch.from_numpy(np.stack(codes, axis=1))
        if self._tokens is not None:
            tensors |= self._tokens.encode(self._of(Texts, cells))

        return tensors

    def _of(self, kind: type[ColumnEncoding], cells: Sequence[Array]) -> list[Array]:
        """The cells of the columns of a kind."""
        found = zip(self._columns, cells, strict=True)
        return [values for column, values in found if isinstance(column, kind)]

    @property
    def _several(self) -> bool:
        """Whether inputs are several tensors."""
        return self.categories == "embed" or self._tokens is not None

    @property
    def _cardinalities(self) -> list[int]:
        if self.categories != "embed":
            return []
        return [each.cardinality for each in self._columns if isinstance(each, Categories)]

    def _vector(self, cells: Sequence[Array]) -> Tensor:
        rows = len(cells[0])
        width = sum(len(column.parts) for column in self._columns)
        row_bytes = width * np.float32().itemsize
        if self.scratch is None or not self.scratch.takes(rows, row_bytes):
            vector = np.zeros((rows, width), np.float32)
            self._fill(cells, vector)
            return torch.from_numpy(vector)

        mapped = mapped_empty(self.scratch.folder, rows, (width,), torch.float32)
        for part in parts(rows, row_bytes):
            try:
                self._fill([values[part] for values in cells], mapped[part].numpy())
            except CellError as error:
                raise CellError(error.column, part.start + error.row, error.what) from error

        return mapped

    def _fill(self, cells: Sequence[Array], vector: Array) -> None:
        begin = 0
        for column, values in zip(self._columns, cells, strict=True):
            end = begin + len(column.parts)
            column.fill(values, vector[:, begin:end])
            begin = end

    @property
    def vector_columns(self) -> tuple[tuple[str, str], ...]:
        """(name, `number`) of each place of the vector; empty where there are several tensors."""
        if self._several:
            return ()

        names: dict[str, None] = {}
        for part in [part for column in self._columns for part in column.parts]:
            printable = "".join(c for c in part if c.isprintable())[:LONGEST]
            name = printable
            number = 2
            while name in names:
                name = f"{printable} ({number})"
                number += 1
            names[name] = None

        return tuple((name, "number") for name in names)

    @property
    def facts(self) -> dict[str, Any]:
        """Of several tensors: `num_numbers`; `cardinalities`, how many codes each embedded column
        has; and those of texts, whose `vocab_size` is 0 where there are none.
        """
        if not self._several:
            return {}

        numbers = sum(len(column.parts) for column in self._columns)
        found: dict[str, Any] = {
            "cardinalities": self._cardinalities,
            "num_numbers": numbers,
            "vocab_size": 0,
        }
        if self._tokens is None:
            return found
        return found | self._tokens.facts

    def summary(self) -> list[str]:
        """Say what was made of the columns, in a few lines."""
        return summary_of(self.state()["columns"])

    def remarks(self, raw: Any) -> list[str]:
        """Say, in a line for each column, which values weren't there when it was fitted."""
        found = zip(self._columns, self.cells(raw), strict=True)
        remarks = [column.remark(values) for column, values in found]
        return [remark for remark in remarks if remark is not None]

    @property
    def shortened(self) -> str | None:
        """What to say of the texts that were encoded last and are too long."""
        count = 0 if self._tokens is None else self._tokens.tokenizer.truncated
        if not count:
            return None
        return f"{count:,} texts are cut at data.max_length={self.max_length} tokens"

    def state(self) -> dict[str, Any]:
        """Return `columns`: of each its name, kind, and what it has fitted."""
        columns = [
            {
                "name": column.name,
                "kind": column.kind,
                "stored": column.stored,
                "flagged": column.flagged,
                "parts": len(column.parts),
            }
            | column.fitted()
            for column in self._columns
        ]
        tokens = {} if self._tokens is None else self._tokens.tokenizer.state()
        return {"columns": columns} | tokens

    def restore(self, state: dict[str, Any]) -> None:
        """Take back `columns`.

        Raises:
            ValueError, KeyError, TypeError: They aren't what `state` returned.
        """
        found = state["columns"]
        need(isinstance(found, list) and 0 < len(found) <= MOST, "columns are no list")
        columns = []
        for node in found:
            need(isinstance(node, Mapping), "a column is no mapping")
            name, kind, stored = node["name"], node["kind"], node["stored"]
            need(is_name(name), "a column has no name")
            need(kind in OF_KIND, f"column '{name}' is of no kind that there is")
            need(stored in STORED, f"column '{name}' is stored as nothing that there is")
            need(isinstance(node["flagged"], bool), f"column '{name}': flagged is no boolean")
            column = OF_KIND[kind](name, stored)
            column.flagged = node["flagged"]
            column.restore(dict(node))
            columns.append(column)

        names = [column.name for column in columns]
        need(len(set(names)) == len(names), "a column is there twice")
        self._take(columns)
        if self._tokens is not None:
            tokens = {name: value for name, value in state.items() if name != "columns"}
            self._tokens.tokenizer.restore(tokens)
