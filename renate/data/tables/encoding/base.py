"""What the encoding of one kind of column is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from renate.errors import ConfigError, nearest

Array = np.ndarray[Any, Any]
KINDS = ("number", "boolean", "category", "date", "text")
MISSING = ("auto", "error", "median", "flag")
UNSEEN = ("other", "error")
CATEGORIES = ("one_hot", "embed")


@dataclass(kw_only=True)
class Rules:
    """How columns are encoded; the settings of a table's encoder, kept in each version.

    Args:
        missing: What becomes of values that aren't there. `error` refuses them; `median` fills
            numbers; `flag` also says so in a column beside; `auto` flags the columns in which
            training had such values, and fills the others. A missing category is one of its own.
        unseen: What becomes of categories that training hasn't seen: `other`, or `error`.
        categories: `one_hot`, or `embed` for models that have an embedding of each category.
        max_categories: Of one column; the most frequent ones are kept, the rest is `other`.
        standardize: Whether numbers are brought to mean 0 and deviation 1.
        kinds: name -> kind, for columns whose kind isn't what their values look like.
        tokenizer: Of free texts, see `renate.data.text.tokenizer.Tokenizer`, as the next three.
        vocab_size: Tokens at most of one that is trained.
        lowercase: Whether capitals are small ones.
        max_length: Tokens that are kept of each example.
    """

    missing: str
    unseen: str
    categories: str
    max_categories: int
    standardize: bool
    kinds: dict[str, str] | None
    tokenizer: str | None
    vocab_size: int
    lowercase: bool
    max_length: int

    def __post_init__(self) -> None:
        choices = (("missing", MISSING), ("unseen", UNSEEN), ("categories", CATEGORIES))
        for key, known in choices:
            value = getattr(self, key)
            if value not in known:
                raise ConfigError(
                    f"data.{key}={value}: expected one of {', '.join(known)}"
                    f"{nearest(str(value), known)}"
                )

        most = self.max_categories
        if type(most) is not int or not 1 <= most <= 100_000:
            raise ConfigError(f"data.max_categories={most}: expected 1 to 100000")
        if not isinstance(self.standardize, bool):
            raise ConfigError(f"data.standardize={self.standardize}: expected true, false or null")
        if self.kinds is not None and not isinstance(self.kinds, Mapping):
            raise ConfigError(f"data.kinds={self.kinds}: expected column -> kind, as {{a: date}}")

        for name, kind in (self.kinds or {}).items():
            if kind not in KINDS:
                raise ConfigError(
                    f"data.kinds.{name}={kind}: expected one of {', '.join(KINDS)}"
                    f"{nearest(str(kind), KINDS)}"
                )

    def flags(self, missing: bool) -> bool:
        """Whether a column says beside which of its values are missing.

        Args:
            missing: Whether some were in training.
        """
        return self.missing == "flag" or (self.missing == "auto" and missing)


class ColumnEncoding(ABC):
    """How one column becomes numbers; fitted once, to training examples.

    Each row is encoded by itself: the others, and how many there are, change nothing.

    Attributes:
        kind: One of `KINDS`.
        name: Of the column.
        stored: What files hold it as, see `renate.data.tables.matching.kind_of`.
        flagged: Whether a column beside says which values are missing.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, stored: str) -> None:
        self.name = name
        self.stored = stored
        self.flagged = False

    @abstractmethod
    def cells(self, values: Any) -> Array:
        """Return a user's values [N] as `renate.data.tables.encoding.cells` has them.

        Raises:
            CellError: One of them is of another kind.
        """

    @abstractmethod
    def missing(self, cells: Array) -> Array:
        """Return whether each value is missing, bool [N]."""

    @abstractmethod
    def fit(self, cells: Array, rules: Rules) -> None:
        """Learn what encoding needs, from the cells of training examples."""

    @property
    @abstractmethod
    def parts(self) -> list[str]:
        """Names of the columns of its vector; none where it gives none."""

    @abstractmethod
    def fill(self, cells: Array, out: Array) -> None:
        """Write its vector into float32 [N, len(parts)], which is zero."""

    @abstractmethod
    def fitted(self) -> dict[str, Any]:
        """Return what `fit` has learned, as JSON has it."""

    @abstractmethod
    def restore(self, fitted: dict[str, Any]) -> None:
        """Take back what `fitted` returned.

        Raises:
            ValueError, KeyError, TypeError: It isn't that; it may come from a stranger.
        """

    def remark(self, cells: Array) -> str | None:
        """What to tell the user of values that training had none of."""
        return None


def need(holds: bool, what: str) -> None:
    """Return if what a state holds may be so.

    Raises:
        ValueError: It may not.
    """
    if not holds:
        raise ValueError(what)


def finite_number(found: Mapping[str, Any], key: str, name: str) -> float:
    """Return a number of a state.

    Raises:
        ValueError: It is none.
    """
    value = found[key]
    good = type(value) in (int, float) and bool(np.isfinite(value)) and abs(value) < 1e300
    need(good, f"column '{name}': {key} is no number")
    return float(value)
