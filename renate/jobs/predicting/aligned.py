"""Outputs in batches of one size, however many rows come at a time, beside what goes with them."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from renate.data.kept.raw import rows_in
from renate.data.ragged import Ragged, joined
from renate.jobs.predicting.predictor import Predictor
from renate.threads import Threads, Work, computing_with

Part = tuple[Any, Any]  # of some rows: an Arrow table that goes with them, and their columns


class Aligned:
    """Runs a predictor over columns that come some rows at a time, in the batches that it would be
    given had they come at once.

    Args:
        predictor: What is run.
        batch_size: Rows of a batch; the last one may have fewer.
        threads: As many as the work of the first batch is worth, see `Measure.threads`.
    """

    def __init__(self, predictor: Predictor, batch_size: int, threads: Threads) -> None:
        self.predictor = predictor
        self.batch_size = batch_size
        self.threads = threads

    @contextmanager
    def over(self, parts: Iterable[Part]) -> Iterator[Iterator[tuple[Any, Tensor]]]:
        """Yield (table, outputs [n, K]) of the same rows, in their order."""
        with ExitStack() as threads:
            yield self._over(parts, threads)

    def _over(self, parts: Iterable[Part], threads: ExitStack) -> Iterator[tuple[Any, Tensor]]:
        tables: deque[Any] = deque()
        waiting: list[Any] = []
        is_first = True
        parts = iter(parts)
        part = next(parts, None)

        while part is not None:
            following = next(parts, None)
            tables.append(part[0])
            waiting.append(part[1])
            columns = _joined(waiting)
            rows = rows_in(columns, "inputs")
            whole = rows if following is None else rows - rows % self.batch_size
            found: list[Tensor] = []

            for begin in range(0, whole, self.batch_size):
                batch = _rows(columns, begin, min(begin + self.batch_size, whole))
                several = rows > self.batch_size or following is not None
                found.append(self._outputs(batch, threads, counts=is_first and several))
                is_first = False

            waiting = [_rows(columns, whole, rows)] if whole < rows else []
            if found:
                yield from _beside(tables, torch.cat(found).cpu())
            part = following

    def _outputs(self, batch: Any, threads: ExitStack, *, counts: bool) -> Tensor:
        if not counts or self.predictor.device.type != "cpu":
            return self.predictor.of_columns(batch)

        with Work() as work:
            outputs = self.predictor.of_columns(batch)

        threads.enter_context(computing_with(self.threads.count(work)))
        return outputs


def _beside(tables: deque[Any], outputs: Tensor) -> Iterator[tuple[Any, Tensor]]:
    """Yield outputs with the rows of tables that they are of; what is left of a table stays."""
    begin = 0
    while begin < len(outputs):
        table = tables.popleft()
        count = min(table.num_rows, len(outputs) - begin)
        if count < table.num_rows:
            tables.appendleft(table.slice(count))
        yield table.slice(0, count), outputs[begin : begin + count]
        begin += count


def _joined(parts: list[Any]) -> Any:
    """The rows of several parts as one."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)

    found = {}
    for name, first in parts[0].items():
        columns = [part[name] for part in parts]
        found[name] = joined(columns) if isinstance(first, Ragged) else torch.cat(columns)
    return found


def _rows(columns: Any, begin: int, end: int) -> Any:
    if isinstance(columns, Tensor):
        return columns[begin:end]
    return {name: column[begin:end] for name, column in columns.items()}
