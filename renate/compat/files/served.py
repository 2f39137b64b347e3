"""Data sets that can't be columns: items of several shapes, or another one each time."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from renate.data.items.served import Served, first_of, seeded
from renate.data.items.tensors import as_tensor
from renate.data.model_inputs import PREFIX
from renate.data.table import Table
from renate.data.tables.targets import as_column, as_target
from renate.errors import DataError
from renate.seeds import derive

ALONE = ""  # the name of an input that is one tensor
LOOKED_AT = 20  # items that are read twice, to see whether they are the same each time
RANDOM = "items that are another one each time they are read"
SEVERAL = "items of several shapes"


Layout = Mapping[str, tuple[tuple[int, ...], torch.dtype]]


@dataclass(frozen=True)
class ServedPart:
    """A part of the data whose inputs stay unread.

    Attributes:
        inputs: The column.
        targets: Of all items.
        sample: The first items as a table, for what is kept of the inputs.
        why: What the items are, for the log.
        contents: SHA-256 of each input, uint8 [N, 32]; None where they are random.
    """

    inputs: Served
    targets: np.ndarray[Any, Any]
    sample: Table
    why: str
    contents: Tensor | None


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


@dataclass(frozen=True)
class _Look:
    """What there is to know of an item.

    Attributes:
        layout: name -> shape and dtype of each tensor of its input; of one that is no mapping
            `ALONE`.
        target: Its target.
        content: A hash of its input.
    """

    layout: dict[str, tuple[tuple[int, ...], torch.dtype]]
    target: Any
    content: bytes


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
                tensors = {
                    str(name): _single(value, f"{where}: '{name}'")
                    for name, value in sorted(item[0].items())
                }
            else:
                tensors = {ALONE: _single(item[0], where)}
            target = as_target(item[1], where)
        except DataError as error:
            return str(error)
        except Exception as error:  # whatever the user's code raises
            reason = (str(error).splitlines() or ["no message"])[0]
            return f"{where}: {type(error).__name__}: {reason}"

        content = hashlib.sha256()
        for tensor in tensors.values():
            content.update(tensor.contiguous().numpy().tobytes())

        layout = {name: (tuple(each.shape), each.dtype) for name, each in tensors.items()}
        return _Look(layout, target, content.digest())


def _single(value: Any, where: str) -> Tensor:
    tensor = as_tensor(value, where)
    return tensor.float() if tensor.dtype == torch.float64 else tensor


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

    _check_alike([look.layout for look in found], key)
    shapes = {name: sorted({look.layout[name][0] for look in found}) for name in found[0].layout}
    digest = _begun(found[0].layout, shapes)
    for look in found:
        digest.update(look.content)

    fields = tuple(
        (name, shapes[name][0] if len(shapes[name]) == 1 else None, dtype)
        for name, (_, dtype) in found[0].layout.items()
    )
    alone = fields[0][0] == ALONE
    column = Served(
        items,
        torch.arange(len(found)),
        fields[0][1] if alone else None,
        fields[0][2],
        workers,
        digest.hexdigest(),
        key,
        () if alone else fields,
    )
    targets = as_column([look.target for look in found], key)
    sample = _sample(column, targets)
    if random:
        return ServedPart(column, targets, sample, RANDOM, None)

    contents = np.stack([np.frombuffer(look.content, np.uint8) for look in found])
    return ServedPart(column, targets, sample, SEVERAL, torch.from_numpy(contents))


def _as_it_is(look: Any) -> Any:
    """By itself a loader would make lists of tuples."""
    return look


def _begun(layout: Layout, shapes: Mapping[str, Any]) -> Any:
    """A hash that says what inputs are like."""
    if ALONE in layout:
        return hashlib.sha256(repr((shapes[ALONE], {layout[ALONE][1]})).encode())

    kinds = {name: dtype for name, (_, dtype) in layout.items()}
    return hashlib.sha256(repr((shapes, kinds)).encode())


def _check_alike(layouts: Sequence[Layout], key: str) -> None:
    """Return if inputs differ in their sizes alone.

    Raises:
        DataError: They are of several kinds, or what a mapping holds differs otherwise than in its
            length.
    """
    first = layouts[0]
    if not first:
        raise DataError(f"{key}: item 0 is an empty mapping, expected tensors by name")

    for row, layout in enumerate(layouts):
        if layout.keys() != first.keys():
            raise DataError(
                f"{key}: item {row} has {', '.join(layout) or 'one tensor'}, item 0 "
                f"{', '.join(first) or 'one tensor'}: expected the same of all"
            )

        for name, (shape, dtype) in layout.items():
            shape_of_first, dtype_of_first = first[name]
            which = "" if name == ALONE else f"'s '{name}'"
            if dtype != dtype_of_first or len(shape) != len(shape_of_first):
                raise DataError(
                    f"{key}: item {row}{which} is {dtype} {list(shape)}, item 0{which} is "
                    f"{dtype_of_first} {list(shape_of_first)}: only the sizes may differ"
                )
            if name != ALONE and shape != shape_of_first and len(shape) != 1:
                raise DataError(
                    f"{key}: item {row}{which} is {list(shape)}, item 0{which} is "
                    f"{list(shape_of_first)}: in a mapping only lists may differ in length"
                )


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
