"""Data sets that can't be columns: items of several shapes, or another one each time."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from renate.data.items.served import Served, first_of, seeded
from renate.data.items.tensors import as_tensor
from renate.data.model_inputs import PREFIX
from renate.data.table import Table
from renate.data.tables.targets import as_column, as_target
from renate.errors import DataError
from renate.seeds import derive

LOOKED_AT = 20  # items that are read twice, to see whether they are the same each time
RANDOM = "items that are another one each time they are read"
SEVERAL = "items of several shapes"


@dataclass(frozen=True)
class ServedPart:
    """A part of the data whose inputs stay unread.

    Attributes:
        inputs: The column.
        targets: Of all items.
        sample: The first items as a table, for what is kept of the inputs.
        why: What the items are, for the log.
    """

    inputs: Served
    targets: np.ndarray[Any, Any]
    sample: Table
    why: str


def is_random(items: Dataset[Any]) -> bool:
    """Whether one of the first items is another one when it is read again.

    Args:
        items: (input, target) each; with a length, else they are looked at elsewhere.
    """
    count = len(items) if hasattr(items, "__len__") else 0
    for row in range(min(LOOKED_AT, count)):
        found = []
        for seed in (0, 1):
            with seeded(seed):
                found.append(items[row])

        pairs = all(isinstance(item, tuple | list) and len(item) == 2 for item in found)
        if pairs and not _equal(found[0][0], found[1][0]):
            return True

    return False


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    try:
        first = as_tensor(one, "")
        second = as_tensor(other, "")
    except DataError:
        return True  # reading it for good says what is wrong with it

    if first.shape != second.shape:
        return False
    if first.is_floating_point():
        return bool(torch.equal(first.nan_to_num(), second.nan_to_num()))
    return bool(torch.equal(first, second))


class _Looks(Dataset[Any]):
    """What there is to know of each item before it is trained on."""

    def __init__(self, items: Dataset[Any], key: str) -> None:
        self.items = items
        self.key = key

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, row: int) -> Any:
        where = f"{self.key}: item {row}"
        try:
            with seeded(derive(0, "item", row)):
                item = self.items[row]

            if not isinstance(item, tuple | list) or len(item) != 2:
                return f"{where} is {type(item).__name__}, expected (input, target)"
            if isinstance(item[0], dict):
                return f"{where} is a mapping: items that are random must be one tensor each"

            tensor = as_tensor(item[0], where)
            if tensor.dtype == torch.float64:
                tensor = tensor.float()
            target = as_target(item[1], where)
        except DataError as error:
            return str(error)
        except Exception as error:  # whatever the user's code raises
            reason = (str(error).splitlines() or ["no message"])[0]
            return f"{where}: {type(error).__name__}: {reason}"

        content = hashlib.sha256(tensor.contiguous().numpy().tobytes()).digest()
        return tuple(tensor.shape), tensor.dtype, target, content


def served(items: Dataset[Any], key: str, *, workers: int, random: bool) -> ServedPart:
    """Look at every item of a data set once, and leave its inputs unread.

    Args:
        items: (input, target) each.
        key: What they are, for messages.
        workers: Processes that read.
        random: Whether they are another one each time.

    Raises:
        DataError: Items that can't be read, or of several kinds.
    """
    looks = _Looks(items, key)
    found = []
    loader: Any = DataLoader(
        looks,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )
    for look in loader:
        if isinstance(look, str):
            raise DataError(look)
        found.append(look)

    if not found:
        raise DataError(f"{key} has no examples")

    shapes = {look[0] for look in found}
    kinds = {look[1] for look in found}
    ranks = {len(shape) for shape in shapes}
    if len(kinds) > 1 or len(ranks) > 1:
        row = next(i for i, look in enumerate(found) if _kind(look) != _kind(found[0]))
        raise DataError(
            f"{key}: item {row} is {found[row][1]} {list(found[row][0])}, item 0 is {found[0][1]} "
            f"{list(found[0][0])}: only the sizes may differ"
        )

    digest = hashlib.sha256(repr((sorted(shapes), kinds)).encode())
    for look in found:
        digest.update(look[3])

    item_shape = None
    if len(shapes) == 1:
        item_shape = found[0][0]

    column = Served(
        items,
        torch.arange(len(found)),
        item_shape,
        found[0][1],
        workers,
        digest.hexdigest(),
        key,
    )
    targets = as_column([look[2] for look in found], key)
    return ServedPart(column, targets, _sample(column, targets), RANDOM if random else SEVERAL)


def _as_it_is(look: Any) -> Any:
    """By itself a loader would make lists of tuples."""
    return look


def _kind(look: Any) -> tuple[Any, int]:
    return look[1], len(look[0])


def _sample(column: Served, targets: np.ndarray[Any, Any]) -> Table:
    rows = min(LOOKED_AT, len(targets))
    columns = first_of({"inputs": column, "targets": torch.arange(len(targets))}, rows)
    inputs: Any = columns.get("inputs")
    if inputs is None:
        inputs = {
            name.removeprefix(PREFIX): each
            for name, each in columns.items()
            if name.startswith(PREFIX)
        }

    return Table(inputs, targets[:rows])
