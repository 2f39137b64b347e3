"""A memory as a checkpoint of the same job has it: tensors and numbers alone."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renate.data.batch import Columns
from renate.data.ragged import Ragged
from renate.memory.store.columns import schema_of

if TYPE_CHECKING:
    from renate.memory.store.memory import Memory


def snapshot_of(memory: "Memory") -> dict[str, Any]:
    """Return everything there is in a memory, as tensors and numbers."""
    values = memory.policy.values()
    return {
        "counters": [memory.size, memory.count, memory.draws, memory.seed],
        "columns": {name: _plain(column) for name, column in memory.columns().items()},
        "values": {name: torch.from_numpy(value.copy()) for name, value in values.items()},
        "segments": memory.segments.snapshot(memory.size),
        **memory.policy.shard(),
    }


def revert_to(memory: "Memory", snapshot: dict[str, Any]) -> None:
    """Let a memory become what a snapshot of the same one holds."""
    memory.size, count, draws, memory.seed = snapshot["counters"]
    memory.start_at(count - memory.rank, draws - memory.rank)
    columns: Columns = {name: _column(found) for name, found in snapshot["columns"].items()}
    memory.policy.restore({k: v.numpy() for k, v in _values_of(snapshot).items()})
    memory.policy.restore_shard(snapshot)

    if memory.size:
        memory.store.reserve(memory.rows_for(memory.size), schema_of(columns))
        everything = torch.arange(memory.size)
        memory.store.put(everything, everything, columns)

    memory.segments.revert(snapshot["segments"])


def _plain(column: Tensor | Ragged) -> Any:
    if isinstance(column, Tensor):
        return column.clone()

    packed = column.pack()
    return {"values": packed.values, "lengths": packed.lengths, "padding": packed.padding}


def _column(found: Any) -> Tensor | Ragged:
    if isinstance(found, Tensor):
        return found
    return Ragged.packed(found["values"], found["lengths"], found["padding"])


def _values_of(snapshot: dict[str, Any]) -> dict[str, Tensor]:
    """The policy's values of a snapshot; those of before had keys alone, without a name."""
    if "values" in snapshot:
        found: dict[str, Tensor] = snapshot["values"]
        return found
    return {} if snapshot["keys"] is None else {"key": snapshot["keys"]}
