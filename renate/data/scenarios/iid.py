"""Chunks that are random parts."""

from renate.data.batch import Columns
from renate.data.scenarios.base import Scenario, disjoint


class IID(Scenario):
    """Each chunk is a random part of the training data; every chunk is measured on the whole test
    set.

    Args:
        chunks: Number of chunks, disjoint and of (nearly) equal size.
    """

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return one of the disjoint random parts, its rows in their order; all rows where `part`
        is `test`.
        """
        return columns if part == "test" else disjoint(columns, index, self.chunks, part, seed)
