"""Rows that come some at a time are computed in the batches that they would be in at once."""

from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from renate.data.ragged import Ragged
from renate.jobs.predicting.aligned import Aligned
from renate.threads import Threads


class Recorder:
    """Stands for a predictor: answers with the rows' own numbers, and notes its batches."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def of_columns(self, columns: Any) -> Tensor:
        if isinstance(columns, Tensor):
            found = columns
        else:
            found = torch.stack([row.sum() for row in columns["ids"].padded()])[:, None]
            assert found.equal(columns["number"])
        self.sizes.append(len(found))
        return found.clone()


def parts_of(sizes: list[int], *, ragged: bool) -> list[tuple[Any, Any]]:
    found = []
    begin = 0
    for size in sizes:
        numbers = torch.arange(begin, begin + size)[:, None]
        columns: Any = numbers
        if ragged:  # as many ones as the number says
            rows = [torch.ones(number, dtype=torch.int64) for number in numbers[:, 0].tolist()]
            columns = {"ids": Ragged.of(rows, padding=0), "number": numbers}
        found.append((pa.table({"row": range(begin, begin + size)}), columns))
        begin += size
    return found


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("sizes", [[10], [4, 4, 2], [1] * 10, [3, 7], [9, 1], [2, 5, 3], [8, 2]])
def test_any_parts_make_the_same_batches(sizes: list[int], ragged: bool) -> None:
    predictor: Any = Recorder()
    aligned = Aligned(predictor, 4, Threads(1))
    with aligned.over(parts_of(sizes, ragged=ragged)) as found:
        pieces = list(found)
    assert predictor.sizes == [4, 4, 2]
    rows = [row for table, _ in pieces for row in table.column("row").to_pylist()]
    outputs = torch.cat([outputs for _, outputs in pieces])[:, 0].tolist()
    assert rows == outputs == list(range(10))
    assert all(table.num_rows == len(outputs) for table, outputs in pieces)


def test_nothing_gives_nothing() -> None:
    predictor: Any = Recorder()
    with Aligned(predictor, 4, Threads(1)).over([]) as found:
        assert not list(found)
    assert not predictor.sizes
