"""What a version keeps of its inputs and its target, and how later data is held against it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from renate.data.mapped.rows import ends_of_columns
from renate.errors import DataError, and_more

KINDS = ("number", "boolean", "image", "tensor")
TARGETS = ("integer", "boolean", "text", "list")
LONGEST = 1000
MOST = 1_000_000
# From this ratio on, two files' values of one column are said to be on different scales.
SCALE = 20.0


@dataclass(frozen=True)
class Column:
    """One input.

    Attributes:
        name: As the file has it; `inputs` for the items of a data set.
        kind: One of `KINDS`: a table's numbers and booleans become one vector, the others stand
            alone.
        low: The least value seen in training data.
        high: The greatest.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Field:
    """One tensor of a mapping of inputs.

    Attributes:
        name: What the model knows it by.
        dtype: As torch calls it: `int64`.
        shape: Of one example; of a ragged one, of one of its values.
        padding: Of a ragged one, see `Ragged`; None where all examples are of one shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    padding: float | None = None

    def __str__(self) -> str:
        length = "" if self.padding is None else f" of any length, padded with {self.padding:g}"
        return f"'{self.name}' {self.dtype} {list(self.shape)}{length}"


@dataclass(frozen=True)
class Inputs:
    """What the inputs of a state are.

    Attributes:
        columns: In the order in which the model sees them.
        dtype: Of the stored inputs, as torch calls it: `float32`; "" of a mapping.
        shape: Of one example as stored; () of a mapping.
        target: The target's name; None where the source has no names.
        target_kind: One of `TARGETS`; None where it isn't known.
        fields: The tensors of a mapping; empty where the inputs are one tensor.
    """

    columns: tuple[Column, ...]
    dtype: str
    shape: tuple[int, ...]
    target: str | None = None
    target_kind: str | None = None
    fields: tuple[Field, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns' names, in the order in which the model sees them."""
        return [column.name for column in self.columns]

    @property
    def named(self) -> bool:
        """Whether the inputs are columns of a table, which have names that mean something."""
        return all(column.kind != "tensor" for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it, each column as [name, kind, low, high]; `from_json` is the
        reverse.
        """
        columns = [[c.name, c.kind, c.low, c.high] for c in self.columns]
        target = {"target": self.target, "target_kind": self.target_kind}
        plain = {"columns": columns, "dtype": self.dtype, "shape": list(self.shape)} | target
        if not self.fields:
            return plain

        return plain | {
            "fields": [[f.name, f.dtype, list(f.shape), f.padding] for f in self.fields]
        }

    @classmethod
    def from_json(cls, found: object) -> "Inputs":
        """Read what `to_json` wrote; it may come from a stranger.

        Raises:
            ValueError: Anything odd.
        """
        keys = {"columns", "dtype", "shape", "target", "target_kind"}
        _need(
            isinstance(found, dict) and found.keys() in (keys, keys | {"fields"}),
            "inputs: other keys than expected",
        )
        assert isinstance(found, dict)
        raw = found["columns"]
        _need(isinstance(raw, list) and 0 < len(raw) <= MOST, "inputs: no list of columns")
        columns = tuple(_column(entry) for entry in raw)
        names = {column.name for column in columns}
        _need(len(names) == len(columns), "inputs: a column is there twice")
        target = found["target"]
        _need(target is None or is_name(target), "inputs: no name of a target")
        kind = found["target_kind"]
        _need(kind is None or kind in TARGETS, "inputs: no kind of a target")
        if "fields" in found:
            fields = _fields(found["fields"])
            _need([f.name for f in fields] == [c.name for c in columns], "inputs: other fields")
            return cls(columns, "", (), target, kind, fields)

        alone = [c for c in columns if c.kind in ("image", "tensor")]
        _need(not alone or len(columns) == 1, "inputs: an image beside other columns")

        shape = found["shape"]
        _check_shape(shape)
        _need(bool(alone) or shape == [len(columns)], "inputs: not as many columns as a vector has")
        dtype = found["dtype"]
        _check_dtype(dtype)
        return cls(columns, dtype, tuple(shape), target, kind)


def _column(entry: object) -> Column:
    _need(isinstance(entry, list) and len(entry) == 4, "inputs: no column")
    assert isinstance(entry, list)
    name, kind, low, high = entry
    _need(is_name(name), "inputs: no name of a column")
    _need(isinstance(kind, str) and kind in KINDS, "inputs: no kind of a column")
    _need(
        all(type(v) in (int, float) and math.isfinite(v) for v in (low, high)), "inputs: no range"
    )
    _need(low <= high, "inputs: no range")

    return Column(name, kind, float(low), float(high))


def _fields(found: object) -> tuple[Field, ...]:
    _need(isinstance(found, list) and 0 < len(found) <= 1000, "inputs: no list of fields")
    assert isinstance(found, list)
    fields = []
    for entry in found:
        _need(isinstance(entry, list) and len(entry) == 4, "inputs: no field")
        name, dtype, shape, padding = entry
        _need(is_name(name), "inputs: no name of a field")
        _check_dtype(dtype)
        _check_shape(shape)
        fits = padding is None or (isinstance(padding, int | float) and math.isfinite(padding))
        _need(fits, "inputs: no padding")
        fields.append(Field(name, dtype, tuple(shape), padding))

    return tuple(fields)


def _check_shape(shape: object) -> None:
    _need(isinstance(shape, list) and len(shape) <= 16, "inputs: no shape")
    assert isinstance(shape, list)
    _need(all(type(n) is int and 0 <= n <= 2**40 for n in shape), "inputs: no shape")


def _check_dtype(dtype: object) -> None:
    known = isinstance(dtype, str) and re.fullmatch(
        r"(bfloat|float|int|uint|complex)\d+|bool", dtype
    )
    _need(bool(known), "inputs: no dtype")


def _need(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def is_name(name: object) -> bool:
    """Whether a name can be kept: printable and of a sane length."""
    return isinstance(name, str) and len(name) <= LONGEST and name.isprintable()


def measured(columns: Sequence[tuple[str, str]], inputs: Tensor) -> tuple[Column, ...]:
    """Columns with the ranges of the inputs [N, ...]: of each number of a vector, else of all
    values.
    """
    if not columns:
        columns = [("inputs", "tensor")]

    alone = columns[0][1] in ("image", "tensor")
    vectors = inputs.reshape(-1, 1) if alone else inputs
    if not len(vectors) or vectors.is_complex():
        return tuple(Column(name, kind) for name, kind in columns)

    lows, highs = ends_of_columns(vectors)
    ranged = zip(columns, lows.double().tolist(), highs.double().tolist(), strict=True)

    return tuple(Column(name, kind, low, high) for (name, kind), low, high in ranged)


def compare(seen: Inputs, known: Inputs, where: str, origin: str) -> None:
    """Check the inputs of data as they will be stored against those that are known.

    Args:
        seen: Of the data.
        known: Of the state, or of data.train.
        where: What the data is, for messages.
        origin: What `known` is of: `the state`.

    Raises:
        DataError: Another shape or dtype.
    """
    _compare_fields(seen, known, where, origin)
    if (seen.dtype, seen.shape) != (known.dtype, known.shape):
        raise DataError(
            f"{where}: inputs are {seen.dtype} {list(seen.shape)}, those of {origin} "
            f"{known.dtype} {list(known.shape)}: convert them to those, as they were at first"
        )

    if seen.target_kind and known.target_kind and seen.target_kind != known.target_kind:
        raise DataError(
            f"{where}: the target is {seen.target_kind}, that of {origin} {known.target_kind}: "
            "convert it to that"
        )


def _compare_fields(seen: Inputs, known: Inputs, where: str, origin: str) -> None:
    if seen.fields == known.fields:
        return
    if not seen.fields or not known.fields:
        named = ", ".join(field.name for field in (seen.fields or known.fields)[:5])
        found = ["one tensor", f"several ({named})"]
        if seen.fields:
            found.reverse()
        raise DataError(f"{where}: inputs are {found[0]}, those of {origin} {found[1]}")

    ours = {field.name: field for field in seen.fields}
    theirs = {field.name: field for field in known.fields}
    name = min(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
    raise DataError(
        f"{where}: of its inputs {ours.get(name, f'none is {name!r}')}, of those of {origin} "
        f"{theirs.get(name, 'none')}: give them as they were at first"
    )


def scales(seen: Inputs, known: Inputs, where: str) -> list[str]:
    """A line that names the columns whose values are on another scale altogether, if there are
    any.
    """
    odd = []
    for now, before in zip(seen.columns, known.columns, strict=False):
        largest = max(abs(now.low), abs(now.high))
        known_largest = max(abs(before.low), abs(before.high))
        least, most = sorted((largest, known_largest))
        if least > 0 and most > SCALE * least:
            odd.append((now, before))

    if not odd:
        return []

    now, before = odd[0]
    more = and_more(len(odd) - 1, "columns")

    return [
        f"{where}: column '{now.name}' is {now.low:g} to {now.high:g}, in training so far "
        f"{before.low:g} to {before.high:g}{more}: is it on another scale?"
    ]


def widened(known: Inputs, seen: Inputs) -> Inputs:
    """What is known, its ranges now also those that were seen."""
    columns = tuple(
        replace(old, low=min(old.low, new.low), high=max(old.high, new.high))
        for old, new in zip(known.columns, seen.columns, strict=False)
    )
    # A vector's columns continued by a data set, or the reverse
    if len(columns) != len(known.columns):
        return known

    return replace(
        known,
        columns=columns,
        target=known.target or seen.target,
        target_kind=known.target_kind or seen.target_kind,
    )
