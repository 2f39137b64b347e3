"""The columns of raw inputs, of whatever kind a source has them, as a contract looks at them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.kept.encoders import Encoder
from renate.data.mapped.rows import bytes_of_row, ends_of_columns, parts
from renate.data.ragged import Ragged
from renate.data.tables.encoding.encoder import TableEncoder
from renate.errors import shortened

Array = np.ndarray[Any, Any]
NUMBERS = ("number", "boolean")


@dataclass(frozen=True)
class View:
    """One column.

    Attributes:
        type: One of `renate.data.contract.document.TYPES`.
        values: [N]: an array of floats with NaN, of dates with NaT, or of texts with None; a list
            of texts; a tensor [N, ...]; or a `Ragged`.
        known_span: Least and greatest value, where they are known already.
        place: Of a column of vectors [N, D], which one.
    """

    type: str
    values: Any
    known_span: tuple[Any, Any] | None = None
    place: int | None = None

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def missing(self) -> Array:
        """Whether each value isn't there, bool [N]."""
        if isinstance(self.values, Tensor | Ragged):
            return np.zeros(len(self), bool)
        found: Array
        if self.type == "date":
            found = np.isnat(self.values)
            return found
        if self.type in NUMBERS:
            found = np.isnan(self.values)
            return found
        return np.fromiter((_is_blank(value) for value in self.values), bool, len(self))

    @property
    def dtype(self) -> str | None:
        """Of a tensor, as torch calls it; None of what isn't one."""
        if not isinstance(self.values, Tensor | Ragged):
            return None
        return str(self.values.dtype).removeprefix("torch.")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one example; of a row of any length, of one of its values."""
        if isinstance(self.values, Ragged):
            return self.values.row
        if isinstance(self.values, Tensor) and self.type in ("tensor", "image"):
            return tuple(self.values.shape[1:])
        return None

    @property
    def span(self) -> tuple[Any, Any] | None:
        """Least and greatest value of numbers, dates and tensors of floats; None where there are
        none, or they have no scale.
        """
        if self.known_span is not None:
            return self.known_span
        if isinstance(self.values, Tensor):
            return _span_of_tensor(self.values)
        if self.type != "date" and self.type not in NUMBERS:
            return None
        if isinstance(self.values, Ragged):
            return None

        there = self.values[~self.missing]
        if len(there):
            return (there.min(), there.max())
        return None

    def rounded(self, bound: Any) -> Any:
        """Return a bound as the values have it: 0.1 is another number in 32 bits."""
        if bound is None or self.type == "date":
            return bound
        if isinstance(self.values, Tensor):
            return torch.tensor(bound, dtype=self.values.dtype).double().item()
        with np.errstate(over="ignore"):
            return self.values.dtype.type(bound)

    def outside(self, low: Any, high: Any) -> Array:
        """Return whether a row holds what is below `low` or above `high`, bool [N]; None is no
        bound.
        """
        if isinstance(self.values, Tensor):
            return _outside(self.values, low, high)

        odd = np.zeros(len(self), bool)
        if low is not None:
            odd |= self.values < low
        if high is not None:
            odd |= self.values > high
        return odd

    @cached_property
    def lengths(self) -> Array:
        """How long each row is, int64 [N]: characters of a text, 0 of none; values of a row."""
        if isinstance(self.values, Ragged):
            return self.values.lengths.numpy()
        return np.fromiter((len(value or "") for value in self.values), np.int64, len(self))

    def shown(self, row: int) -> str:
        """Return a row's value for a message."""
        if isinstance(self.values, Ragged):
            return f"{int(self.values.lengths[row])} values"

        value = self.values[row]
        if isinstance(value, Tensor):
            if value.numel() > 1:
                return f"{float(value.min()):g} to {float(value.max()):g}"
            value = value.item()
        if isinstance(value, float | np.floating):
            return f"{float(value):g}"

        if isinstance(value, str):
            return shortened(repr(value), 40)
        return shortened(str(value), 40)


def views_of(
    inputs: Any, columns: Sequence[tuple[str, str]], encoder: Encoder | None
) -> dict[str, View]:
    """Return the columns of raw inputs by name; those of kinds that aren't known are left out.

    Args:
        inputs: As `Source.read` returns them, or a user predicts for.
        columns: (name, kind) of each, see `renate.data.kept.inputs.Column`; empty where they have
            no names.
        encoder: What takes the inputs; None where they are tensors already.
    """
    if isinstance(inputs, Mapping):
        views = {name: _view(values, encoder, name) for name, values in inputs.items()}
        wanted = encoder.raw_columns if encoder is not None else {}
        return {n: v for n, v in views.items() if v is not None and (not wanted or n in wanted)}
    if isinstance(inputs, Tensor) and inputs.ndim == 2 and len(columns) == inputs.shape[1]:
        return _of_vectors(inputs, columns)

    name = columns[0][0] if len(columns) == 1 else "inputs"
    if encoder is not None and len(encoder.raw_columns) == 1:
        name = next(iter(encoder.raw_columns))

    view = _view(inputs, None, name)
    if view is None:
        return {}
    if len(columns) == 1 and columns[0][1] == "image":
        view = View("image", inputs)
    return {name: view}


def _view(values: Any, encoder: Encoder | None, name: str) -> View | None:
    if isinstance(encoder, TableEncoder):
        if name not in encoder.raw_columns:
            return None
        column = encoder.encoding_of(name)
        return View(column.kind, column.cells(values))
    if isinstance(values, Ragged):
        return View("ragged", values)
    if isinstance(values, Tensor):
        return View("tensor", values)
    if isinstance(values, list | tuple | np.ndarray) and _are_texts(values):
        return View("text", values)
    return None


def _of_vectors(inputs: Tensor, columns: Sequence[tuple[str, str]]) -> dict[str, View]:
    """The columns of vectors [N, D], whose spans one pass finds."""
    spans: list[tuple[float, float] | None] = [None] * len(columns)
    if len(inputs) and inputs.is_floating_point():
        lows, highs = ends_of_columns(inputs)
        spans = list(zip(lows.double().tolist(), highs.double().tolist(), strict=True))

    kinds = {name: kind if kind in NUMBERS else "number" for name, kind in columns}
    return {
        name: View(kinds[name], inputs[:, place], spans[place], place)
        for place, (name, _) in enumerate(columns)
    }


def _span_of_tensor(values: Tensor) -> tuple[float, float] | None:
    if not values.is_floating_point() or not values.numel():
        return None

    lows = []
    highs = []
    for part in parts(len(values), bytes_of_row(values)):
        low, high = torch.aminmax(values[part])
        lows.append(float(low))
        highs.append(float(high))
    return min(lows), max(highs)


def _outside(values: Tensor, low: float | None, high: float | None) -> Array:
    found = np.zeros(len(values), bool)
    for part in parts(len(values), bytes_of_row(values)):
        own = values[part].reshape(part.stop - part.start, -1).double()
        odd = torch.zeros(len(own), dtype=torch.bool)
        if low is not None:
            odd |= (own < low).any(1)
        if high is not None:
            odd |= (own > high).any(1)
        found[part] = odd.numpy()
    return found


def _are_texts(values: Iterable[Any]) -> bool:
    kinds = {type(value) for value in values}
    return str in kinds and kinds <= {str, type(None)}


def _is_blank(value: Any) -> bool:
    return value is None or not value.strip()
