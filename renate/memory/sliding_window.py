"""The newest examples."""

from renate.memory.keyed import Keyed
from renate.memory.random import Floats, by_age


class SlidingWindow(Keyed):
    """Keeps the examples that were offered last: an example's key grows with its id.

    Of several processes the newest are those with the largest ids, whichever process they came to.
    """

    def keys_of(self, seed: int, ids: range) -> Floats:
        """Return a number in (0, 1) for each id, float64 [n], that grows with the id; the seed has
        no part.
        """
        return by_age(ids)

    def resize(self, capacity: int | None, size: int, count: int) -> None:
        """Any capacity is possible: a window that became larger fills with what comes."""
