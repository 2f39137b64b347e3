"""Two processes that train together stay one model, and equal one process where nothing is drawn."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from renate.data.batch import BatchTransform, select
from renate.errors import ConfigError
from renate.memory.store.shards import align_ids, sync_counts
from renate.ranks import Ranks
from tests.updaters.small_fit import (
    UPDATERS,
    Small,
    assert_same,
    columns_of,
    memory_of,
    memory_option,
)

ROWS = 32
BATCH = 8


def begun(name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What an updater's first update leaves, which one process made: content, and memory files."""
    small = Small.of(name)
    small.update(columns_of(1, rows=ROWS))
    files = {key: content for key, content in small.updater.memory.save() if content is not None}
    return small.everything(), files


def second_update(name: str, rank: int, ranks: int) -> dict[str, Any]:
    """One of the processes that make an updater's second update together; what it has then."""
    content, files = begun(name)
    memory = memory_of(memory_option(name), capacity=20)
    memory.bind(seed=0, transform=BatchTransform(), rank=rank, ranks=ranks)
    small = Small.of(name, memory=memory)
    small.model.load_state_dict(content["model"])
    of_config = {k: v for k, v in small.updater.state_dict().items() if k not in content["updater"]}
    small.updater.load_state_dict(content["updater"] | of_config)
    if files:
        memory.load(files.__getitem__)
    small.processes = ranks

    data = columns_of(2, rows=ROWS)
    share = {key: column[rank::ranks] for key, column in data.items()}
    own = small.updater.start(small.model, share)
    together = Ranks(rank, ranks)
    if own is not None:
        batches = [*small.batches(own, BATCH // ranks)]
    else:
        batches = [
            BatchTransform()(select(batch.raw, torch.arange(rank, len(batch), ranks)))
            for batch in small.batches(data, BATCH)
        ]
    for batch in batches:
        small.step(batch)
        if ranks > 1:
            counts = [0] * ranks
            counts[rank] = memory.count
            sync_counts(memory, together.all_max(counts))
    align_ids(memory, together)
    small.updater.finish(small.model, share)

    answers = small.answers(columns_of(3)["inputs"])
    state = small.updater.own_state()
    return {
        "model": small.model.state_dict(),
        "updater": state,
        "answers": answers,
        "drew": len(memory) > 0,
    }


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found: dict[str, Any] = {}
    for name in UPDATERS:
        try:
            found[name] = second_update(name, rank, 2)
        except ConfigError as error:
            found[name] = str(error)
        dist.barrier()
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes.spawn(work, (port, str(folder)), nprocs=2)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
def test_some_are_compared_with_one_process(both: list[dict[str, Any]]) -> None:
    found = both[0].items()
    compared = {name for name, one in found if not isinstance(one, str) and not one["drew"]}
    assert compared >= {"fine_tuning", "ewc", "si"}


@pytest.mark.slow
@pytest.mark.parametrize("name", UPDATERS)
def test_two_processes(name: str, both: list[dict[str, Any]]) -> None:
    one, two = (each[name] for each in both)
    if isinstance(one, str):
        assert "trainer.devices=1" in one, "it says why not, and what to do"
        assert one == two
        return

    assert_same(one["model"], two["model"])
    # What isn't the same in both would be lost with one of them
    assert_same(one["updater"], two["updater"])
    if one["drew"]:
        return  # each draws past examples of its own shard, other ones than a process alone would

    alone = second_update(name, 0, 1)
    for part in ("model", "updater", "answers"):
        torch.testing.assert_close(one[part], alone[part], atol=1e-5, rtol=1e-4)
