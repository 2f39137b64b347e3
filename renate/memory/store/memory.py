"""The memory: examples of the past, of which a policy says which are kept."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.batch import Batch, Columns
from renate.data.items.served import is_served, read_all
from renate.errors import ConfigError, StateError
from renate.memory.base import Policy
from renate.memory.random import DRAWS, Ints, Numbers, uniform
from renate.memory.store.columns import ColumnStore, as_kept, schema_of
from renate.memory.store.meta import kind_to_json, memory_from
from renate.memory.store.segments import Read, Segments
from renate.memory.store.snapshot import revert_to, snapshot_of


class Memory:
    """Examples of the past: a policy says which are kept, all else is the same for every policy.

    Examples are kept raw, as the data has them, and transformed anew at each draw. Random numbers
    depend on the seed and on counters alone, which are part of the state: contents and draws don't
    depend on how a run was interrupted.

    Where several processes train one model, each has a shard: it offers its own examples and draws
    from what it keeps; together the shards are one memory (`renate/memory/store/shards.py`).

    Args:
        policy: Decides where each example goes.
        max_ram: Bytes; a larger memory lies in mapped files. None is no bound.

    Attributes:
        capacity: Most examples to keep; None is no bound, and 0 keeps nothing, in no file.
        size: Examples kept, in the slots 0 … size - 1.
        count: The next example's id. Of a shard: ids of different processes interleave, and never
            meet.
        draws: The next draw's number, likewise.
        seed: Of all random numbers; part of the state.
    """

    def __init__(self, policy: Policy, max_ram: int | None) -> None:
        if not isinstance(policy, Policy):
            kind = type(policy).__name__
            raise ConfigError(
                f"memory: a {kind} is no policy; derive it from renate.memory.base.Policy"
            )

        self.policy = policy
        self.capacity = policy.capacity
        self.max_ram = max_ram
        self.size = 0
        self.count = 0
        self.draws = 0
        self.seed = 0
        self.rank = 0
        self.ranks = 1
        self.numbers = Numbers(lambda seed, ids: uniform(DRAWS, seed, ids))
        self.transform: Callable[[Columns], Batch] | None = None
        self.store = ColumnStore(max_ram, None)
        self.segments = Segments()

    def __len__(self) -> int:
        return self.size

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
        if ranks > 1 and not self.policy.shared:
            name = self.policy.name
            raise ConfigError(
                f"memory: {name} can't be sharded over {ranks} processes: give trainer.devices=1"
            )

        self.seed = seed
        self.transform = transform
        self.rank = rank
        self.ranks = ranks
        self.start_at(0, 0)
        self.store = ColumnStore(self.max_ram, scratch)

    def start_at(self, count: int, draws: int) -> None:
        """Go on after `count` offers and so many draws of all shards together."""
        self.count = count + self.rank
        self.draws = draws + self.rank
        self.policy.begin(self.seed, [count + rank for rank in range(self.ranks)])

    def add(self, batch: Batch, **fields: Tensor) -> None:
        """Offer a batch, with further values [B, ...] of each example (logits, say).

        Raises:
            DataError: Columns, dtypes or shapes differ from what is kept.
        """
        self.add_columns(batch.raw | {name: as_kept(field) for name, field in fields.items()})

    def add_columns(self, columns: Columns) -> None:
        """Offer rows of columns. Only those that are kept leave the device that they lie on."""
        if is_served(columns):
            columns = read_all(columns)
        offered = self.store.check(columns)
        ids = range(self.count, self.count + offered * self.ranks, self.ranks)
        slots, rows = self.policy.assign(ids, columns, self.size)
        self.count = ids.stop
        if not len(slots):
            return

        if self.size != self.capacity:
            self._make_room(slots, columns)

        self.store.put(torch.from_numpy(slots), torch.from_numpy(rows), columns)
        self.segments.touch(slots, self.size)

    def _make_room(self, slots: Ints, columns: Columns) -> None:
        size = max(self.size, int(slots.max()) + 1)
        if np.count_nonzero(slots >= self.size) != size - self.size:
            raise ConfigError(
                f"memory: {self.policy.name} leaves slots below {size} without an example"
            )

        if size > self.store.rows:
            rows = self.rows_for(max(1024, 2 * self.store.rows, size))
            self.store.reserve(rows, schema_of(columns))

        self.size = size

    def sample(self, n: int) -> Batch:
        """Draw n examples uniformly with replacement; `fields` has what was stored beside them.

        The field `slots`, int64 [n], says where they lie.
        """
        if not self.size:
            raise StateError("the memory is empty: ask len(memory) before drawing from it")

        assert self.transform is not None, "bind() comes first"

        ids = range(self.draws, self.draws + n * self.ranks, self.ranks)
        numbers = self.numbers.take(self.seed, ids)
        index = torch.from_numpy((numbers * self.size).astype(np.int64))
        self.draws = ids.stop
        batch = self.transform(self.store.gather(index))
        batch.fields["slots"] = index

        return batch

    def columns(self) -> Columns:
        """Everything that is kept, in the order of the slots: views, not copies."""
        return self.store.first(self.size)

    def move(self, origin: Ints, to: Ints, size: int) -> None:
        """Bring examples from slots to other slots, int64 [k] both; `size` are held then."""
        if len(origin):
            self.store.move(torch.from_numpy(origin), torch.from_numpy(to))
            self.segments.move(origin, to)
        self.size = size

    def require(self, fields: tuple[str, ...]) -> None:
        """Check that the examples kept have what an updater needs.

        Raises:
            StateError: They lack a field.
        """
        missing = [name for name in fields if self.size and name not in self.store.names]
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

    def drop(self, name: str) -> None:
        """Let go a column of all examples kept."""
        self.store.drop(name)
        self.segments.rewrite(self.size)

    def snapshot(self) -> dict[str, Any]:
        """Everything there is, as tensors and numbers; for a checkpoint of the same job."""
        return snapshot_of(self)

    def revert(self, snapshot: dict[str, Any]) -> None:
        """Become what a snapshot of the same memory holds."""
        revert_to(self, snapshot)

    def rows_for(self, unbounded: int) -> int:
        """Return how many slots to make room for: all there may ever be, or as many where none
        says.

        A shard's share of the capacity isn't known beforehand; it makes room as it grows.
        """
        if self.capacity is None:
            return unbounded
        if self.ranks > 1:
            return min(self.capacity, unbounded)
        return self.capacity

    def save(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield (name, bytes) of every file; None for a file that is as load() found it."""
        if self.capacity == 0:
            return

        schema = self.store.schema
        meta = {
            "policy": self.policy.name,
            "capacity": self.capacity,
            "size": self.size,
            "count": self.count,
            "draws": self.draws,
            "seed": self.seed,
            "schema": {name: kind_to_json(kind) for name, kind in schema.items()},
        }
        yield from self.segments.save(self.store, self.size, self.policy.values())
        meta |= self.segments.meta()
        yield "memory/meta.json", json.dumps(meta, indent=1, allow_nan=False).encode()

    def load(self, read: Read) -> None:
        """Become what was saved.

        Args:
            read: Returns the bytes of a file by its name.

        Raises:
            StateError: Another policy saved it, or it doesn't fit this capacity.
            CorruptError: A file isn't what a memory writes, or a slot would be left empty.
        """
        if self.capacity == 0:
            return

        meta = memory_from(read("memory/meta.json"), "memory/meta.json")
        if meta["policy"] != self.policy.name and meta["size"]:
            raise StateError(
                f"the state's memory is a {meta['policy']} of {meta['size']} examples, the config "
                f"asks for a {self.policy.name}: keep the policy, or start a new state"
            )

        if meta["policy"] != self.policy.name:
            return

        self.seed = meta["seed"]
        self.start_at(meta["count"], meta["draws"])
        if meta["size"]:
            self._load_examples(meta, read)

    def _load_examples(self, meta: dict[str, Any], read: Read) -> None:
        self.size = meta["size"]
        segments, values = Segments.open(meta, read, self.policy.values())
        self.policy.resize(meta["capacity"], self.size, meta["count"])

        if self.capacity is not None and self.size > self.capacity:
            slots = self.policy.select(values, self.size)
            values = {name: value[slots] for name, value in values.items()}
            segments.keep(slots)
            self.size = len(slots)

        self.policy.restore(values)

        if self.ranks > 1:
            mine: Ints = np.arange(self.rank, self.size, self.ranks)
            self.policy.keep_shard(mine)
            segments.keep(mine)
            self.size = len(mine)

        segments.read(self.store, read, meta["schema"], self.rows_for(self.size))
        self.segments = segments
