"""One text, or several, as the ids that a model takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from renate.data.base import Encoder
from renate.data.ragged import Ragged
from renate.data.text.tokenizer import Tokenizer
from renate.errors import ConfigError, DataError, nearest


@dataclass(kw_only=True)
class TextEncoder(Encoder):
    """Ids of tokens, as one ragged input `ids`; of several texts also `types`, which say which
    text a token is of: 0 for the first, 1 for the second, …

    Raw are texts, or, by name, those of each column.

    Args:
        texts: Names of one column or more.
        tokenizer: See `Tokenizer`, as the next three.
        vocab_size: Tokens at most of one that is trained here.
        lowercase: Whether capitals are small ones.
        max_length: Tokens that are kept of each example.

    Attributes:
        encoded: How many examples were encoded so far.
        cut: How many of them were longer than `max_length`.
    """

    texts: Sequence[str]
    tokenizer: str | None
    vocab_size: int
    lowercase: bool
    max_length: int
    encoded: int = field(default=0, init=False, compare=False)
    cut: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        self.texts = [str(name) for name in self.texts]
        if not self.texts or len(set(self.texts)) < len(self.texts):
            raise ConfigError(
                f"data.text={self.texts}: expected one column of text, or several others"
            )

        self.tokens = Tokenizer(self.tokenizer, self.vocab_size, self.lowercase, self.max_length)

    @property
    def raw_columns(self) -> dict[str, str]:
        """name -> `text` of each column."""
        return dict.fromkeys(self.texts, "text")

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments; of another's tokenizer its name, wherever it lies."""
        return super().settings | {"tokenizer": self.tokens.name}

    @property
    def facts(self) -> dict[str, int]:
        """`vocab_size`, by which ids are bounded, `max_length`, and `num_texts`."""
        return self.tokens.facts | {"num_texts": len(self.texts)}

    def fit(self, raw: Any) -> None:
        """Train the tokenizer, or read another's."""
        self.tokens.fit([text for texts in self._texts(raw) for text in texts])

    def encode(self, raw: Any) -> dict[str, Ragged]:
        """Return the ids of each example's tokens, and of several texts their types.

        Raises:
            DataError: What isn't text, or has other columns.
        """
        texts = self._texts(raw)
        if len(texts) == 1:
            found = {"ids": self.tokens.encode(texts[0])}
        else:
            ids, types = self.tokens.encode_several(texts)
            found = {"ids": ids, "types": types}

        self.encoded += len(texts[0])
        self.cut += self.tokens.truncated
        return found

    def _texts(self, raw: Any) -> list[Any]:
        """The texts of each column."""
        if isinstance(raw, Mapping):
            for name in self.texts:
                if name not in raw:
                    raise DataError(
                        f"no column '{name}'{nearest(name, raw)} ({', '.join(map(str, raw))})"
                    )
            return [raw[name] for name in self.texts]

        if len(self.texts) > 1:
            named = ", ".join(f"'{name}': […]" for name in self.texts)
            raise DataError(
                f"expected the texts by name, {{{named}}}, found a {type(raw).__name__}"
            )
        if not isinstance(raw, list | tuple | np.ndarray):
            raise DataError(f"expected a list of texts, found a {type(raw).__name__}")

        return [raw]

    def summary(self) -> list[str]:
        """Say how many tokens there are."""
        tokens = self.facts["vocab_size"]
        made = "trained on the first update's texts"
        if self.tokenizer is not None:
            made = f"of {self.tokens.name}"

        names = " and ".join(f"'{name}'" for name in self.texts)
        return [f"inputs: {names} as text, by a tokenizer of {tokens:,} tokens, {made}"]

    def state(self) -> dict[str, Any]:
        """Return the tokenizer, see `Tokenizer.state`."""
        return self.tokens.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: It isn't that.
        """
        self.tokens.restore(state)
