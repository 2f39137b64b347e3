"""Everything that was ever offered."""

import numpy as np

from renate.data.batch import Columns
from renate.memory.base import Plan, Policy


class Infinite(Policy):
    """Keeps all examples, in the order they came."""

    forgets = False
    shared = True

    def __init__(self) -> None:
        super().__init__(None)

    def assign(self, ids: range, columns: Columns, size: int) -> Plan:
        """Give every example a new slot, in their order."""
        return np.arange(size, size + len(ids)), np.arange(len(ids))
