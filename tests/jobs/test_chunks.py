"""The chunks of a stream: the next one is made while this one is trained on."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from renate.data.base import Data
from renate.data.batch import Columns
from renate.data.scenarios import IID, Permutation, Rotation, Scenario
from renate.errors import DataError
from renate.jobs.chunks import chunks_from, cut
from renate.jobs.context import Job
from renate.problems.classification import Classification

JOB = cast(Job, SimpleNamespace(config={"seed": 0, "data": {}, "model": {}}))


def columns(rows: int) -> Columns:
    generator = torch.Generator().manual_seed(rows)
    images = torch.randint(0, 256, (rows, 1, 6, 6), dtype=torch.uint8, generator=generator)
    return {"inputs": images, "targets": torch.arange(rows) % 2, "id": torch.arange(rows)}


def data() -> Data:
    problem = Classification()
    problem.restore(["a", "b"], {})
    return Data(columns(40), columns(10), {"test": columns(20)}, problem)


class Watched(Rotation):
    """Notes which thread made which chunk, and fails at the third."""

    def __init__(self) -> None:
        super().__init__(3, None, 180, full=True)
        self.made: list[tuple[int, bool]] = []

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        here = threading.current_thread() is threading.main_thread()
        self.made.append((index, here))
        if index == 2:
            raise DataError("the third")
        return super().take(columns, index, part, seed, num_classes)


@pytest.mark.parametrize(
    "scenario",
    [IID(chunks=3), Rotation(3, None, 180, full=True), Permutation(3, full=False)],
    ids=["iid", "rotation", "permutation"],
)
@pytest.mark.parametrize("first", [0, 1])
def test_made_ahead_they_are_what_they_are_one_by_one(scenario: Scenario, first: int) -> None:
    threads = torch.get_num_threads()
    ahead = list(chunks_from(JOB, scenario, data(), first))
    assert torch.get_num_threads() == threads
    assert len(ahead) == 3 - first

    for index, chunk in enumerate(ahead, start=first):
        alone = cut(JOB, scenario, data(), index)
        assert not chunk.tests
        for part, other in ((chunk.train, alone.train), (chunk.val, alone.val)):
            assert part is not None
            assert other is not None
            assert part.keys() == other.keys()
            assert all(torch.equal(part[name], other[name]) for name in part)


def test_a_chunk_that_cant_be_is_told_at_its_turn() -> None:
    scenario = Watched()
    chunks = chunks_from(JOB, scenario, data(), 0)
    assert len([next(chunks), next(chunks)]) == 2, "though the third has perhaps failed by now"
    with pytest.raises(DataError, match="the third"):
        next(chunks)

    elsewhere = {index: not here for index, here in scenario.made}
    assert elsewhere == {0: False, 1: True, 2: True}


def test_whoever_stops_leaves_no_thread() -> None:
    before = threading.active_count()
    chunks: Any = chunks_from(JOB, Rotation(3, None, 180, full=True), data(), 0)
    next(chunks)
    assert threading.active_count() == before + 1
    chunks.close()
    assert threading.active_count() == before
