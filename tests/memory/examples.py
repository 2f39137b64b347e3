"""Memories to test, and examples that know who they are."""

import torch

from renate.data.batch import Batch, BatchTransform, Columns
from renate.memory.base import Policy
from renate.memory.infinite import Infinite
from renate.memory.none import NoMemory
from renate.memory.reservoir import Reservoir
from renate.memory.store.memory import Memory

Files = dict[str, bytes]


def in_ram(policy: Policy) -> Memory:
    return Memory(policy, None)


def reservoir(capacity: int) -> Memory:
    return in_ram(Reservoir(capacity))


def infinite() -> Memory:
    return in_ram(Infinite())


def none() -> Memory:
    return in_ram(NoMemory())


def rows(ids: torch.Tensor) -> Columns:
    """Examples whose every column follows from the id, which is the target."""
    inputs = (ids % 251).to(torch.uint8)[:, None].expand(-1, 3).contiguous()
    return {"inputs": inputs, "targets": ids, "logits": ids[:, None].float() / 7}


def batch(first: int, count: int) -> Batch:
    columns = rows(torch.arange(first, first + count))
    del columns["logits"]
    return BatchTransform()(columns)


def bound(memory: Memory, seed: int = 0, scratch: str | None = None) -> Memory:
    memory.bind(seed=seed, transform=BatchTransform(), scratch=scratch)
    return memory


def saved(memory: Memory, before: Files | None = None) -> Files:
    """Every file of the memory, unchanged ones from before."""
    return {
        name: data if data is not None else (before or {})[name] for name, data in memory.save()
    }


def loaded(memory: Memory, files: Files) -> Memory:
    bound(memory).load(files.__getitem__)
    return memory


def ids(memory: Memory) -> list[int]:
    return memory.columns()["targets"].tolist() if len(memory) else []


def same(a: Memory, b: Memory) -> bool:
    ours = a.columns()
    theirs = b.columns()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
