"""A few of the examples that a saved memory holds, without the memory around them."""

import torch
from safetensors.torch import load

from renate.data.batch import Columns, select
from renate.memory.store.meta import memory_from
from renate.memory.store.segments import Read, columns_from, expected_in, name_of
from renate.state.tensors import check_shapes

META = "memory/meta.json"


def sample_of(read: Read, where: str, most: int) -> Columns | None:
    """Return the last `most` of the examples that were saved last; None where there are none.

    Args:
        read: Returns the bytes of a file by its name.
        where: What the memory is, for messages.
        most: How many.

    Raises:
        CorruptError: It isn't what a memory writes.
    """
    meta = memory_from(read(META), where)
    if not meta["segments"]:
        return None

    number = max(meta["segments"])
    rows = meta["segments"][number]
    name = name_of(number)
    data = read(name)
    check_shapes(data, name, expected_in(data, name, meta["schema"], rows))
    columns = columns_from(load(bytes(data)), meta["schema"], name)
    return select(columns, torch.arange(max(0, rows - most), rows))
