"""What a version knows of the data that it was made from, so that later data can be held against it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from renate.errors import DataError, nearest

NUMBER, BOOLEAN, IMAGE = "number", "boolean", "image"
KINDS = (NUMBER, BOOLEAN, IMAGE)
TARGETS = ("integer", "text")
DTYPES = ("uint8", "int8", "int16", "int32", "int64", "bool", "float16", "bfloat16", "float32", "float64")
MOST_COLUMNS = 100_000
LONGEST_NAME = 1000  # characters


@dataclass(frozen=True)
class Column:
    """One input column of a table.

    Attributes:
        name: As the file has it.
        kind: `number`, `boolean` or `image`.
        low: Smallest value of the training data; None of images.
        high: Largest value.
    """

    name: str
    kind: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _need(_is_name(self.name), f"a column's name is {self.name!r:.80}")
        _need(self.kind in KINDS, f"column '{self.name}' is of kind {self.kind!r:.80}")
        for value in (self.low, self.high):
            _need(value is None or _is_number(value), f"column '{self.name}' has a range of {value!r:.80}")


@dataclass(frozen=True)
class Inputs:
    """Of a table its columns, in order; of anything else dtype and shape alone.

    Attributes:
        dtype: Of the stored inputs, as `float32`.
        shape: Of one example.
        columns: Input columns in the order of the model's inputs; none where they have no names.
        target: Name of the target column; None where it has none.
        target_kind: `integer` or `text`.
    """

    dtype: str
    shape: tuple[int, ...]
    columns: tuple[Column, ...] = ()
    target: str | None = None
    target_kind: str = "integer"

    def __post_init__(self) -> None:
        _need(self.dtype in DTYPES, f"dtype is {self.dtype!r:.80}")
        sizes = isinstance(self.shape, tuple) and len(self.shape) <= 8
        _need(sizes and all(type(n) is int and 0 < n < 2**31 for n in self.shape), f"shape is {self.shape!r:.80}")
        _need(len(self.columns) <= MOST_COLUMNS, f"{len(self.columns)} columns")
        names = [column.name for column in self.columns]
        _need(len(set(names)) == len(names), "two columns of one name")
        _need(self.target is None or _is_name(self.target), f"target is {self.target!r:.80}")
        _need(self.target_kind in TARGETS, f"target_kind is {self.target_kind!r:.80}")
        vector = bool(self.columns) and self.columns[0].kind != IMAGE
        _need(not vector or self.shape == (len(self.columns),), "as many columns as values are needed")

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"shape": list(self.shape), "columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_json(cls, found: Any) -> "Inputs":
        """Read what `to_json` wrote, perhaps a stranger's.

        Raises:
            ValueError: It is something else.
        """
        _need(isinstance(found, Mapping) and found.keys() == set(cls.__dataclass_fields__), "keys are others")
        _need(isinstance(found["shape"], list) and isinstance(found["columns"], list), "shape or columns is no list")
        columns = []
        for column in found["columns"]:
            known = isinstance(column, Mapping) and column.keys() == set(Column.__dataclass_fields__)
            _need(known, "a column has other keys")
            columns.append(Column(**column))
        return cls(**{**found, "shape": tuple(found["shape"]), "columns": tuple(columns)})

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


def match_names(there: Sequence[str], known: Sequence[str], where: str, *, surplus: bool) -> None:
    """Check that a file has the columns that are known, wherever they stand.

    Args:
        there: The columns of a file that could be inputs.
        known: Those that are inputs.
        where: The file, for messages.
        surplus: Whether further ones are an error.

    Raises:
        DataError: Naming the first column that is missing, or that nobody knows.
    """
    missing = [name for name in known if name not in there]
    more = [name for name in there if name not in known]
    if missing:
        close = nearest(missing[0], more)
        has = f" (it has {', '.join(there[:20])})" if not close else ""
        raise DataError(f"{where}: no column '{missing[0]}', which is an input of the model{close}{has}")
    if surplus and more:
        listed = f"[{','.join(known)}]" if len(known) <= 20 else "[…]"
        raise DataError(
            f"{where}: column '{more[0]}' is no input of the model: data.inputs={listed} leaves it out, "
            "or start a new state with it"
        )


def match_kinds(there: Inputs, known: Inputs, where: str) -> None:
    """Check kinds of columns, dtype and shape; names and order are those of `known` already.

    Raises:
        DataError: Naming the column, what it was and what it is.
    """
    for now, then in zip(there.columns, known.columns, strict=False):
        if now.kind != then.kind:
            raise DataError(f"{where}: column '{now.name}' holds {now.kind}s, the model knows it as {then.kind}s")
    if (there.dtype, there.shape) != (known.dtype, known.shape):
        column = f"column '{there.columns[0].name}': " if len(there.columns) == 1 else ""
        raise DataError(
            f"{where}: {column}an example is {describe(there)}, the model was made for {describe(known)}: "
            "convert the data, or start a new state"
        )


def describe(inputs: Inputs) -> str:
    """A shape in words, of images their channels and size."""
    if inputs.dtype == "uint8" and len(inputs.shape) == 3:
        channels, height, width = inputs.shape
        kind = {1: "a grey image", 3: "an image in colour"}.get(channels, f"an image of {channels} channels")
        return f"{kind} of {height}×{width} pixels"
    return str(inputs)


def scales_differ(there: Inputs, known: Inputs) -> list[str]:
    """Columns whose values lie on another scale altogether, each in words: all of them beyond ten times the range."""
    found = []
    for now, then in zip(there.columns, known.columns, strict=False):
        if now.low is None or now.high is None or then.low is None or then.high is None:
            continue
        width = max(then.high - then.low, abs(then.high), abs(then.low), 1e-12)
        own = max(now.high - now.low, abs(now.high), abs(now.low), 1e-12)
        if own > 50 * width or width > 50 * own:
            found.append(
                f"column '{now.name}' runs from {now.low:g} to {now.high:g}, "
                f"the state's from {then.low:g} to {then.high:g}: in other units?"
            )
    return found


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _need(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
