"""Columns of free text, beside others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from renate.data.ragged import Ragged
from renate.data.tables.encoding.base import Array, ColumnEncoding, Rules
from renate.data.tables.encoding.cells import texts_of
from renate.data.text.tokenizer import Tokenizer


class Texts(ColumnEncoding):
    """A text as it is; tokens are made of it by `Tokens`, for all columns together."""

    kind = "text"

    def cells(self, values: Any) -> Array:
        """Return texts [N] of dtype object, None where a value is missing."""
        numbers = self.stored in ("number", "boolean")
        return texts_of(values, self.name, numbers=numbers, trimmed=False)

    def missing(self, cells: Array) -> Array:
        """Return whether each value is missing, bool [N]."""
        return np.array([value is None for value in cells.tolist()], bool)

    def fit(self, cells: Array, rules: Rules) -> None:
        """Learn nothing: the tokenizer does."""

    @property
    def parts(self) -> list[str]:
        """None: texts are no part of the vector."""
        return []

    def fill(self, cells: Array, out: Array) -> None:
        """Write nothing."""

    def fitted(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def restore(self, fitted: dict[str, Any]) -> None:
        """Take nothing back."""


class Tokens:
    """Ids of the tokens of columns of text, as models of texts take them.

    Attributes:
        names: Of the columns.
        tokenizer: Cuts texts.
    """

    def __init__(self, names: Sequence[str], tokenizer: Tokenizer) -> None:
        self.names = list(names)
        self.tokenizer = tokenizer

    def fit(self, cells: Sequence[Array]) -> None:
        """Train the tokenizer on all texts, or read another's."""
        self.tokenizer.fit([text for column in cells for text in _filled(column)])

    def encode(self, cells: Sequence[Array]) -> dict[str, Ragged]:
        """Return `ids`, and of several columns `types`, see `Tokenizer.encode_several`; a missing
        text is an empty one.
        """
        if len(cells) == 1:
            return {"ids": self.tokenizer.encode(_filled(cells[0]))}

        ids, types = self.tokenizer.encode_several([_filled(column) for column in cells])
        return {"ids": ids, "types": types}

    @property
    def facts(self) -> dict[str, int]:
        """The tokenizer's, and `num_texts`."""
        return self.tokenizer.facts | {"num_texts": len(self.names)}


def _filled(column: Array) -> list[str]:
    return ["" if text is None else text for text in column.tolist()]
