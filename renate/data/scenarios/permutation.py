"""Chunks that show inputs in orders of their own."""

import torch

from renate.data.batch import Columns
from renate.data.scenarios.base import Scenario, disjoint, tensor_of
from renate.seeds import derive


class Permutation(Scenario):
    """Each chunk shows the inputs' values in an order of its own, the first as they are.

    Args:
        chunks: Number of chunks.
        full: Whether each chunk has all of the training data, as in the papers, or a disjoint part.
    """

    computes = True

    def __init__(self, chunks: int, full: bool) -> None:
        super().__init__(chunks)
        self.full = full

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return rows with the values of each input in the chunk's order, those of chunk 0 as they
        are: where `full` is off a disjoint part of them, but of the test data always all.
        """
        if not self.full and part != "test":
            columns = disjoint(columns, index, self.chunks, part, seed)
        if index == 0:
            return columns

        inputs = tensor_of(columns, "permutation")
        flat = inputs.reshape(len(inputs), -1)
        generator = torch.Generator().manual_seed(derive(seed, f"permutation {index}"))
        order = torch.randperm(flat.shape[1], generator=generator)

        return columns | {"inputs": flat.index_select(1, order).reshape(inputs.shape)}
