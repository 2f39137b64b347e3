"""Stored columns as what is tested: a number or a category of each example, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.batch import Columns
from renate.data.kept.encoders import KeptEncoder
from renate.data.kept.inputs import Inputs
from renate.data.model_inputs import names_of
from renate.data.ragged import Ragged
from renate.shift.two_sample import ROUNDING, Codes, Matrix, Vector

NUMBER = "number"
CATEGORY = "category"
WIDEST = 256  # places of a vector that are tested one by one
PROJECTED = 32  # dimensions of what is wider
AT_ONCE = 64  # examples that are projected at a time
OTHER = "other"
MISSING = "missing"


@dataclass(frozen=True)
class View:
    """One column of both samples.

    Attributes:
        name: As the user knows it.
        kind: `number` or `category`.
        before: Of the reference, [N]: float64 numbers, or int64 codes.
        now: Of the new data, [M], the same.
        unseen: Share of new examples whose category training hadn't; None of numbers.
        missing: Share of values that aren't there, of both; None where a state can't tell.
    """

    name: str
    kind: str
    before: Any
    now: Any
    unseen: float | None = None
    missing: tuple[float, float] | None = None


def views_of(
    before: Columns, now: Columns, inputs: Inputs | None, encoded: Sequence[Mapping[str, Any]]
) -> list[View]:
    """Return the input columns one by one, as far as they are few.

    Args:
        before: The reference.
        now: The new data.
        inputs: What the state knows of its inputs.
        encoded: Of a table's encoder what it keeps of each column; empty where there is none.
    """
    if encoded:
        return _of_table(before, now, encoded)

    column = before.get("inputs")
    if not isinstance(column, Tensor) or column.ndim != 2 or column.shape[1] > WIDEST:
        return []

    names = [each.name for each in inputs.columns] if inputs is not None else []
    if len(names) != column.shape[1]:
        names = [f"inputs[{place}]" for place in range(column.shape[1])]
    pairs = zip(names, _vectors(column), _vectors(now["inputs"]), strict=True)
    return [View(name, NUMBER, first, second) for name, first, second in pairs]


def encoded_columns(encoder: KeptEncoder | None) -> list[dict[str, Any]]:
    """Return what a table's encoder keeps of each column; empty where it is none of a table's."""
    if encoder is None or not isinstance(encoder.plain.get("columns"), list):
        return []
    columns = encoder.plain["columns"]
    needed = {"name", "kind", "parts", "flagged"}
    fits = all(isinstance(each, dict) and needed <= each.keys() for each in columns)
    return columns if fits else []


def categories_of(columns: Columns, encoded: Sequence[Mapping[str, Any]]) -> dict[str, Codes]:
    """Return name -> codes [N] of a table's columns of categories, as embedded ones have them: 0
    for others, 1 for missing ones, then the known values in their order.
    """
    numbers: Any = columns.get("inputs" if "inputs" in columns else "inputs.numbers")
    codes: Any = columns.get("inputs.categories")
    found: dict[str, Codes] = {}
    place = 0
    embedded = 0
    for column in encoded:
        width = int(column["parts"])
        if column["kind"] == CATEGORY and column["embedded"]:
            found[column["name"]] = _whole(codes[:, embedded])
            embedded += 1
        elif column["kind"] == CATEGORY:
            found[column["name"]] = _codes(numbers[:, place : place + width], column)
        place += width

    return found


def _of_table(before: Columns, now: Columns, encoded: Sequence[Mapping[str, Any]]) -> list[View]:
    name = "inputs" if "inputs" in before else "inputs.numbers"
    parts = (before.get(name), now.get(name))
    codes = (categories_of(before, encoded), categories_of(now, encoded))
    found: list[View] = []
    place = 0
    for column in encoded:
        width = int(column["parts"])
        if column["kind"] == CATEGORY:
            first, second = (each[column["name"]] for each in codes)
            found.append(_category(column["name"], first, second))
        elif width:
            slices = [part[:, place : place + width] for part in parts]  # type: ignore[index]
            found += _numbers(column, slices[0], slices[1])
        place += width

    return found


def _category(name: str, before: Codes, now: Codes) -> View:
    """Codes as embedded categories have them: 0 for others, 1 for missing ones."""
    unseen = float((now == 0).mean()) if not (before == 0).any() else None
    missing = (float((before == 1).mean()), float((now == 1).mean()))
    return View(name, CATEGORY, before, now, unseen, missing)


def _codes(one_hot: Tensor, column: Mapping[str, Any]) -> Codes:
    """One-hot columns as codes; rows of zeros are of a category that training hadn't."""
    known = len(column["values"])
    found = np.zeros(len(one_hot), np.int64)
    rows = one_hot[:, :known]
    if known:
        is_known = rows.amax(1) > 0
        found[is_known.numpy()] = 2 + rows.argmax(1).numpy()[is_known.numpy()]
    if column["flagged"]:
        found[(one_hot[:, -1] > 0).numpy()] = 1
    return found


def _numbers(column: Mapping[str, Any], before: Tensor, now: Tensor) -> list[View]:
    missing = None
    width = before.shape[1]
    if column["flagged"] and width > 1:
        width -= 1
        missing = (float(before[:, width].mean()), float(now[:, width].mean()))

    views = []
    for place in range(width):
        name = column["name"] if width == 1 else f"{column['name']} ({place + 1} of {width})"
        first, second = (_vectors(part)[place] for part in (before, now))
        views.append(View(name, NUMBER, first, second, missing=missing))

    return views


def vectors_of(columns: Columns, seed: int) -> Matrix | None:
    """Return the inputs of each example as one vector, for tests of all of them together; wide
    ones are projected at random. None where they have lengths of their own.
    """
    names = [name for name in names_of(columns) if not isinstance(columns[name], Ragged)]
    if len(names) != len(names_of(columns)) or not names:
        return None

    flat = [columns[name].reshape(len(columns[name]), -1) for name in names]
    width = sum(each.shape[1] for each in flat)
    if width <= PROJECTED:
        whole: Matrix = torch.cat([each.double() for each in flat], 1).numpy()
        return whole

    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randn((width, PROJECTED), generator=generator, dtype=torch.float64)
    # A thousand photographs would be gigabytes at once
    parts = [
        torch.cat([each[begin : begin + AT_ONCE].double() for each in flat], 1) @ chosen
        for begin in range(0, len(flat[0]), AT_ONCE)
    ]
    projected: Matrix = (torch.cat(parts) / width**0.5).numpy()
    return projected


def scaled(before: Matrix, now: Matrix) -> tuple[Matrix, Matrix]:
    """Return both samples with the reference at mean 0 and deviation 1.

    Where the reference is constant but for rounding, differences stay what they are.
    """
    mean = before.mean(0)
    spread = before.std(0)
    spread[spread <= ROUNDING * np.abs(mean)] = 1.0
    return (before - mean) / spread, (now - mean) / spread


def _vectors(column: Tensor) -> list[Vector]:
    return list(column.double().numpy().T)


def _whole(column: Tensor) -> Codes:
    found: Codes = column.long().numpy()
    return found
