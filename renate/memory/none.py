"""Nothing."""

import numpy as np

from renate.data.batch import Columns
from renate.memory.base import Plan, Policy


class NoMemory(Policy):
    """Keeps no example; what a state has of them is left behind."""

    shared = True

    def __init__(self) -> None:
        super().__init__(None)
        self.capacity = 0

    def assign(self, ids: range, columns: Columns, size: int) -> Plan:
        """Refuse every example."""
        return np.empty(0, np.int64), np.empty(0, np.int64)
