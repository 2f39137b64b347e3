"""Proposers that need no engine."""

import math
import random
from collections.abc import Sequence
from itertools import islice

from renate.errors import ConfigError
from renate.tuning.base import Proposal, Proposer
from renate.tuning.space import Config, Space

MANY = 100_000  # a finite space beyond this is sampled as if it had no end


class Random(Proposer):
    """Independent draws; of a small finite space each configuration once (Bergstra & Bengio, 2012)."""

    def propose(self, trial: int) -> Proposal | None:
        index = trial - len(self.first)
        order = self._order()
        if order is None:
            return Proposal(self.space.sample(random.Random(f"{self.seed}/{index}")))
        return Proposal(order[index]) if index < len(order) else None

    def _order(self) -> list[Config] | None:
        if not hasattr(self, "order"):
            self.order: list[Config] | None = None
            if self.space.finite:
                grid = list(islice(self.space.grid(), MANY + 1))
                if len(grid) <= MANY:
                    self.order = [config for config in grid if config not in self.first]
                    random.Random(f"{self.seed}/order").shuffle(self.order)
        return self.order


class Grid(Proposer):
    """Every configuration of a finite space once, in order."""

    def bind(self, space: Space, *, first: Sequence[Config], seed: int, steps: int, slots: int) -> None:
        """See `Proposer.bind`.

        Raises:
            ConfigError: The space has no end.
        """
        super().bind(space, first=first, seed=seed, steps=steps, slots=slots)
        for key, domain in space.domains.items():
            if domain.size == math.inf:
                raise ConfigError(
                    f"tuner=grid: {key}={domain} has no end: give choices, as {key}=0.1,0.01, or another tuner"
                )
        self.rest = (config for config in space.grid() if config not in self.first)

    def propose(self, trial: int) -> Proposal | None:
        config = next(self.rest, None)
        return None if config is None else Proposal(config)
