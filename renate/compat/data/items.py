"""The items of a data set as a table, by the same source that reads any data set here."""

from typing import Any

from torch.utils.data import Dataset

from renate.build import build, shipped
from renate.data.table import Table
from renate.errors import ConfigError, DataError

TRAIN = "data.train"


def table_of(items: Dataset[Any], key: str) -> Table:
    """Read every item of a data set.

    Args:
        items: (input, target) each.
        key: What they are, for messages.

    Raises:
        DataError: Items that can't be columns.
    """
    node = {k: v for k, v in shipped("data", "torch_dataset").items() if k not in ("train", "test")}
    source: Any = build(node, "data", train=items, test=None)
    try:
        train, _ = source.read()
    except DataError as error:
        raise type(error)(str(error).replace(TRAIN, key, 1)) from error

    return Table(*train)


def refuse_collate(name: str, collate: Any) -> None:
    """Return if nobody wants to make batches of items in a way of their own.

    Args:
        name: What would make them.
        collate: None, or what it is.

    Raises:
        ConfigError: Somebody does.
    """
    if collate is not None:
        raise ConfigError(
            f"{name}: this package makes batches itself: expected None, and items of tensors, or "
            "mappings of tensors, whose lengths may differ"
        )
