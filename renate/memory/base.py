"""What a memory is."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from renate.data.batch import Batch, Columns, length
from renate.errors import ConfigError, StateError
from renate.memory.columns import ColumnStore, schema_of
from renate.memory.random import DRAWS, Floats, Ints, Numbers
from renate.memory.segments import Index, Segments
from renate.state.contents import DTYPES, memory_from

Plan = tuple[Ints, Ints]


class Memory(ABC):
    """Examples of the past: which are kept is the policy's choice (`plan`), all else is shared.

    Examples are kept raw, as the data has them, and transformed anew at each draw. Random numbers depend on the seed
    and on counters alone, which are part of the state: contents and draws don't depend on how a run was interrupted.

    Where several processes train one model, each has a shard: it offers its own examples and draws from what it keeps;
    together the shards are one memory (`shared`).

    Args:
        capacity: Most examples to keep; None is no bound.
        max_ram: Bytes; a larger memory lies in mapped files.

    Attributes:
        count: The next example's id. Of a shard: ids of different processes interleave, and never meet.
    """

    forgets: ClassVar[bool] = True  # whether anything that was offered may be gone later
    shared: ClassVar[bool] = False  # whether the policy knows how to be one memory in several shards

    def __init__(self, capacity: int | None, max_ram: int) -> None:
        if capacity is not None and (capacity < 1 or capacity != int(capacity)):
            raise ConfigError(
                f"memory.capacity={capacity}: expected a whole number of 1 or more; memory=none keeps none"
            )
        self.capacity, self.max_ram = capacity, max_ram
        self.size, self.count, self.draws, self.seed = 0, 0, 0, 0
        self.rank, self.ranks = 0, 1
        self.draw_numbers = Numbers(DRAWS)
        self.transform: Callable[[Columns], Batch] | None = None
        self.store = ColumnStore(max_ram, None)
        self.segments = Segments()

    @abstractmethod
    def plan(self, n: int, targets: Tensor) -> Plan:
        """Decide where the next n examples go.

        Args:
            n: How many are offered; their ids are count, count + ranks, …
            targets: Their targets, int64 [n].

        Returns:
            Slots, unique, and the offered row that each takes, int64 [k] both.
        """

    def keys(self) -> Floats | None:
        """What of the policy's own must be saved per slot, float64 [size]; None is nothing."""
        return None

    def restore(self, keys: Floats | None, capacity: int | None) -> Ints | None:
        """Take back what `keys` returned, saved at another capacity perhaps; returns the slots to keep, None for all.

        Raises:
            StateError: The policy can't continue at this capacity.
        """
        return None

    def hear(self, counts: list[int]) -> None:
        """Of a shard: learn the `count` of each process, and let go what doesn't belong to the whole memory."""
        assert self.shared

    def deal(self, slots: Ints) -> None:
        """Of a shard: the whole memory was restored, now keep only some slots."""
        assert self.shared

    def absorb(self, size: int, keys: Floats | None, where: Index) -> None:
        """Take over another process's shard, whose rows lie in the store already, after the own ones."""
        own = self.keys()
        self.segments.append(where, self.size)
        self.size += size
        if own is not None and keys is not None:
            self.restore(np.concatenate([own, keys]), self.capacity)

    def bind(
        self,
        *,
        seed: int,
        transform: Callable[[Columns], Batch] | None = None,
        scratch: str | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Called once by the job, before use.

        Args:
            seed: Of a new memory; a loaded one keeps its own.
            transform: Makes batches of what is drawn.
            scratch: Folder for mapped files.
            rank: Which shard this is.
            ranks: Of how many.

        Raises:
            ConfigError: The policy can't be sharded.
        """
        if ranks > 1 and not self.shared:
            raise ConfigError(
                f"memory: {type(self).__name__} can't be sharded over {ranks} processes: give trainer.devices=1"
            )
        self.seed, self.transform, self.rank, self.ranks = seed, transform, rank, ranks
        self.enter(0, 0)
        self.store = ColumnStore(self.max_ram, scratch)

    def enter(self, count: int, draws: int) -> None:
        """Go on after `count` offers and so many draws of all shards together."""
        self.count, self.draws = count + self.rank, draws + self.rank

    def add(self, batch: Batch, **fields: Tensor) -> None:
        """Offer a batch, with further values [B, ...] of each example (logits, say).

        Raises:
            DataError: Columns, dtypes or shapes differ from what is kept.
        """
        self.add_columns(batch.raw | {name: _kept(field) for name, field in fields.items()})

    def add_columns(self, columns: Columns) -> None:
        """Offer rows of columns. Only those that are kept leave the device that they lie on."""
        self.store.check(columns)
        n = length(columns)
        slots, rows = self.plan(n, columns["targets"])
        self.count += n * self.ranks
        if not len(slots):
            return

        if self.size != self.capacity:
            self._make_room(int(slots.max()) + 1, columns)
        self.store.put(torch.from_numpy(slots), torch.from_numpy(rows), columns)
        self.segments.touch(slots, self.size)

    def drop(self, origin: Ints, to: Ints, size: int) -> None:
        """Keep `size` slots: those that lie beyond move into the gaps."""
        if len(origin):
            self.store.move(torch.from_numpy(origin), torch.from_numpy(to))
            self.segments.move(origin, to)
        self.size = size

    def _make_room(self, size: int, columns: Columns) -> None:
        if size > self.store.rows:
            rows = self.capacity if self.capacity is not None else max(1024, 2 * self.store.rows, size)
            self.store.reserve(rows, schema_of(columns))
        self.size = max(self.size, size)

    def sample(self, n: int) -> Batch:
        """Draw n examples uniformly with replacement; `fields` has what was stored beside them, and their slots."""
        if not self.size:
            raise StateError("the memory is empty: ask len(memory) before drawing from it")
        numbers = self.draw_numbers.take(self.seed, self.draws, n, self.ranks)
        index = torch.from_numpy((numbers * self.size).astype(np.int64))
        self.draws += n * self.ranks
        assert self.transform is not None, "bind() comes first"
        batch = self.transform(self.store.gather(index))
        batch.fields["slots"] = index
        return batch

    def columns(self) -> Columns:
        """Everything that is kept, in the order of the slots: inputs, targets and fields. Views, not copies."""
        return self.store.first(self.size)

    def __len__(self) -> int:
        return self.size

    def require(self, fields: tuple[str, ...]) -> None:
        """Check that the examples kept have what an updater needs.

        Raises:
            StateError: They lack a field.
        """
        missing = [name for name in fields if self.size and name not in self.store.columns]
        if missing:
            raise StateError(
                f"the memory's examples have no '{missing[0]}', which this updater needs: "
                "memory.backfill=true computes it with the loaded model, or start a new state"
            )

    def widen(self, name: str, size: int, value: float) -> None:
        """Make a column [N, width] wider and fill the new part with a value."""
        old = self.store.columns.get(name)
        if old is None or old.shape[1] >= size:
            return
        new = torch.full((len(old), size), value, dtype=old.dtype)
        new[:, : old.shape[1]] = old
        self.store.columns[name] = new
        self.segments.rewrite(self.size)

    def fill(self, name: str, values: Tensor) -> None:
        """Add a column with a value [size, ...] for each example kept."""
        column = torch.empty((self.store.rows, *values.shape[1:]), dtype=values.dtype)
        column[: self.size] = values.cpu()
        self.store.columns[name] = column
        self.segments.rewrite(self.size)

    def snapshot(self) -> dict[str, Any]:
        """Everything there is, as tensors and numbers; for a checkpoint of the same job, not for a state."""
        keys = self.keys()
        return {
            "counters": [self.size, self.count, self.draws, self.seed],
            "columns": {name: column.clone() for name, column in self.columns().items()},
            "keys": None if keys is None else torch.from_numpy(keys.copy()),
            "segments": self.segments.snapshot(self.size),
        }

    def revert(self, snapshot: dict[str, Any]) -> None:
        """Become what a snapshot of the same memory holds."""
        self.size, self.count, self.draws, self.seed = snapshot["counters"]
        columns, keys = snapshot["columns"], snapshot["keys"]
        self.restore(None if keys is None else keys.numpy(), self.capacity)
        if self.size:
            rows = self.capacity if self.capacity is not None else self.size
            self.store.reserve(rows, schema_of(columns))
            everything = torch.arange(self.size)
            self.store.put(everything, everything, columns)
        self.segments.revert(snapshot["segments"])

    def save(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield (name, bytes) of every file of the memory; None for a file that is as load() found it."""
        meta = {
            "policy": type(self).__name__,
            "capacity": self.capacity,
            "size": self.size,
            "count": self.count,
            "draws": self.draws,
            "seed": self.seed,
            "schema": {k: [str(d).removeprefix("torch."), list(s)] for k, (d, s) in self.store.schema.items()},
        }
        yield from self.segments.save(self.store, self.size, self.keys())
        yield "memory/meta.json", json.dumps(meta | self.segments.meta(), indent=1, allow_nan=False).encode()

    def load(self, read: Callable[[str], bytes | memoryview]) -> None:
        """Become what was saved.

        Args:
            read: Returns the bytes of a file by its name.

        Raises:
            StateError: Another policy saved it, or it doesn't fit this capacity.
            CorruptError: A file isn't what a memory writes, or a slot would be left without content.
        """
        meta = memory_from(read("memory/meta.json"), "memory/meta.json")
        if meta["policy"] != type(self).__name__:
            if not meta["size"]:
                return
            raise StateError(
                f"the state's memory is a {meta['policy']} of {meta['size']} examples, "
                f"the config asks for a {type(self).__name__}: keep the policy, or start a new state"
            )
        self.size, self.seed = meta["size"], meta["seed"]
        self.enter(meta["count"], meta["draws"])
        if not self.size:
            return
        segments, keys = Segments.open(meta, read)
        keep = self.restore(keys, meta["capacity"])
        if keep is not None:
            segments.keep(keep)
            self.size = len(keep)
        if self.ranks > 1:
            mine = np.arange(self.rank, self.size, self.ranks)
            self.deal(mine)
            segments.keep(mine)
            self.size = len(mine)
        schema = {name: (getattr(torch, dtype), tuple(shape)) for name, (dtype, shape) in meta["schema"].items()}
        rows = self.capacity if self.capacity is not None else self.size
        columns = {name: (DTYPES[dtype], list(shape)) for name, (dtype, shape) in meta["schema"].items()}
        segments.read(self.store, read, columns, lambda: self.store.reserve(rows, schema))
        self.segments = segments


def _kept(field: Tensor) -> Tensor:
    """A further value as it is kept: floats in 32 bits, whatever precision this update trains in."""
    field = field.detach()
    return field.float() if field.is_floating_point() else field
