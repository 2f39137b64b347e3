"""A uniform sample of everything that was ever offered."""

from renate.memory.keyed import Keyed
from renate.memory.random import KEYS, Floats, uniform


class Reservoir(Keyed):
    """Keeps the examples with the largest keys, each example's key being a random number.

    The same law as Vitter's algorithm R (1985, https://doi.org/10.1145/3147.3165): every set of
    `capacity` examples is equally likely.
    """

    def keys_of(self, seed: int, ids: range) -> Floats:
        """Return a random number in (0, 1) for each id, float64 [n]: a function of the seed and the
        id.
        """
        return uniform(KEYS, seed, ids)
