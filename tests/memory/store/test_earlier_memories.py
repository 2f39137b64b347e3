"""Files and checkpoints that were written before a memory had a policy load and go on bit for bit.

`of_before/` was written by the code of commit 688d34e, by the steps that each test names: what it
had at first, what it saved when it had gone on, and what it drew then.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from renate.data.batch import Columns
from renate.memory.store.memory import Memory
from renate.memory.store.shards import merge, sync_counts
from renate.ranks import Ranks
from tests.memory.examples import Files, bound, infinite, reservoir
from tests.memory.threads import together

BEFORE = Path(__file__).parent / "of_before"


def rows(first: int, count: int) -> Columns:
    ids = torch.arange(first, first + count)
    inputs = (ids % 251).to(torch.uint8)[:, None]
    return {"inputs": inputs, "targets": ids, "logits": ids[:, None].float() / 7}


def offer(memory: Memory, first: int, last: int) -> None:
    for begin in range(first, last, 16):
        memory.add_columns(rows(begin, min(16, last - begin)))


def made(kind: str) -> Memory:
    return bound(reservoir(30) if kind == "reservoir" else infinite(), seed=3)


def files_in(folder: Path) -> Files:
    return {f"memory/{path.name}": path.read_bytes() for path in folder.iterdir()}


def goes_on(memory: Memory, kind: str) -> None:
    """Offer 40 more, draw, save: as the code before did."""
    offer(memory, 60, 100)
    drawn = memory.sample(20).fields["slots"]
    assert torch.equal(drawn, load_file(BEFORE / kind / "drawn.safetensors")["slots"])
    written = {name: data for name, data in memory.save() if data is not None}
    assert written == files_in(BEFORE / kind / "second")


@pytest.mark.parametrize("kind", ["reservoir", "infinite"])
def test_files_are_the_same_from_the_start(kind: str) -> None:
    memory = made(kind)
    offer(memory, 0, 60)
    memory.sample(5)
    assert dict(memory.save()) == files_in(BEFORE / kind / "first")
    goes_on(memory, kind)


@pytest.mark.parametrize("kind", ["reservoir", "infinite"])
def test_a_state_goes_on(kind: str) -> None:
    memory = made(kind)
    memory.load(files_in(BEFORE / kind / "first").__getitem__)
    goes_on(memory, kind)


@pytest.mark.parametrize("kind", ["reservoir", "infinite"])
def test_a_checkpoint_goes_on(kind: str) -> None:
    memory = made(kind)
    memory.revert(torch.load(BEFORE / kind / "checkpoint.pt", weights_only=True))
    goes_on(memory, kind)


def test_checkpoints_of_shards_go_on() -> None:
    """Two processes offer ten examples in each of four steps; they go on after the third."""

    def one(ranks: Ranks) -> Memory:
        memory = reservoir(30)
        memory.bind(seed=8, rank=ranks.rank, ranks=ranks.size)
        file = BEFORE / "shards" / f"checkpoint-{ranks.rank}.pt"
        memory.revert(torch.load(file, weights_only=True))
        memory.add_columns(rows(100 * ranks.rank + 30, 10))
        sync_counts(memory, ranks.gather(memory.count))
        merge(memory, ranks)
        return memory

    merged = together(2, one)[0]
    assert dict(merged.save()) == files_in(BEFORE / "shards" / "merged")
