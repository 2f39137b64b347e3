"""Proposers that need no engine."""

import math
import random
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from itertools import islice

from renate.errors import ConfigError
from renate.tuning.base import COMPLETED, FAILED, Proposal, Proposer
from renate.tuning.pareto import Point, Ranking
from renate.tuning.space import Config, Space

MANY = 100_000  # a finite space beyond this is sampled as if it had no end
DRAWS = 100  # of a configuration until it is one that wasn't proposed before

Key = tuple[tuple[str, str], ...]


def _key(config: Config) -> Key:
    return tuple(sorted(config.items()))


class Random(Proposer):
    """Independent draws; of a small finite space each configuration once (Bergstra & Bengio,
    2012).
    """

    multi_objective = True

    def propose(self, trial: int) -> Proposal | None:
        """Return the next configuration of a small finite space, in an order drawn by the seed, or
        a draw from a larger one; None where nothing new is found.
        """
        index = trial - len(self.first)
        order = self._order()
        if order is None:
            generator = random.Random(f"{self.seed}/{index}")
            return self._new(lambda: self.space.sample(generator))
        if index < len(order):
            return Proposal(order[index])
        return None

    def ask(self, trial: int) -> Proposal | None:
        """Return the next proposal, and take note of it, so that no draw repeats it."""
        proposal = super().ask(trial)
        if proposal is not None:
            self.asked.add(_key(proposal.config))
        return proposal

    @property
    def asked(self) -> set[Key]:
        """What was proposed so far: running it again would tell nothing new."""
        if not hasattr(self, "_asked"):
            self._asked: set[Key] = {_key(config) for config in self.first}
        return self._asked

    def _new(self, draw: Callable[[], Config], source: str = "sampled") -> Proposal | None:
        """A draw that wasn't proposed before; None where none turns up."""
        for _ in range(DRAWS):
            config = draw()
            if _key(config) not in self.asked:
                return Proposal(config, source)
        return None

    def _order(self) -> list[Config] | None:
        if not hasattr(self, "order"):
            self.order: list[Config] | None = None
            if self.space.finite:
                grid = list(islice(self.space.grid(), MANY + 1))
                if len(grid) <= MANY:
                    self.order = [config for config in grid if config not in self.first]
                    random.Random(f"{self.seed}/order").shuffle(self.order)
        return self.order


class Evolution(Random):
    """Mutations of one of the best so far, now and then an independent draw; of a small finite
    space as `Random`.

    An evolution strategy without generations, in which whatever has reported may be a parent: with
    few trials, and stopped ones among them, it finds more than independent draws
    (benchmarks/results/tuning_quality.md).

    Args:
        share: Of proposals, those that are mutations.
        best: Of trials that have reported, those that may be parents; at least one.
        width: Standard deviation of a mutated number as a share of its range, in logarithms where
            the domain is.
        change: Chance that a choice is drawn anew.
    """

    def __init__(self, share: float, best: float, width: float, change: float) -> None:
        for name, value in {"share": share, "best": best, "width": width, "change": change}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: expected 0 to 1")

        self.share = share
        self.best = best
        self.width = width
        self.change = change
        self.configs: dict[int, Config] = {}
        self.values: dict[int, float] = {}  # trial -> the best it has reported
        self.sorted: list[tuple[float, int]] = []  # the same as (value, trial), the best first
        self.further: dict[int, Point] = {}  # trial -> the other objectives', where there are any
        self.ranking = Ranking()  # of the trials that have further objectives

    def ask(self, trial: int) -> Proposal | None:
        """Return the next proposal, and keep its configuration, which may be mutated later."""
        proposal = super().ask(trial)
        if proposal is not None:
            self.configs[trial] = proposal.config
        return proposal

    def propose(self, trial: int) -> Proposal | None:
        """Return, with chance `share`, a mutation of one of the best trials; else what `Random`
        proposes, as always for a small finite space and before two trials have reported.
        """
        generator = random.Random(f"{self.seed}/{trial}")
        # The first says only how good the config's own values are, which is no reason yet to stay
        # near them.
        if self._order() is not None or len(self.values) < 2 or generator.random() >= self.share:
            return super().propose(trial)

        parent = self._parent(generator)

        def mutate() -> Config:
            return self.space.near(
                self.configs[parent], generator, width=self.width, change=self.change
            )

        return self._new(mutate, f"mutation of {parent}") or super().propose(trial)

    def _parent(self, generator: random.Random) -> int:
        """One of the best trials that have reported."""
        best = max(1, int(len(self.values) * self.best))
        if not self.further:
            return self.sorted[generator.randrange(best)][1]
        return generator.choice(self.ranking.best(best))

    def report_secondary(self, trial: int, values: Point) -> None:
        """Keep the further objectives' values."""
        self.further[trial] = values
        if trial in self.values:
            self._keep(trial, self.values[trial])

    def report(self, trial: int, step: int, value: float) -> bool:
        """Keep the best value of a trial, of several objectives the last one; stops none."""
        # Of several objectives only values of the same epoch are a point.
        if trial not in self.further:
            value = min(value, self.values.get(trial, math.inf))

        self._keep(trial, value)
        return False

    def end(self, trial: int, status: str, value: float | None) -> None:
        """Forget the value of a failed trial, and take the final one of a completed trial."""
        if status == FAILED:
            self._forget(trial)
        elif value is not None and status == COMPLETED:
            self._keep(trial, value)

    def _keep(self, trial: int, value: float) -> None:
        self._forget(trial)
        self.values[trial] = value
        if trial in self.further:
            self.ranking.put(trial, (value, *self.further[trial]))
        else:
            insort(self.sorted, (value, trial))

    def _forget(self, trial: int) -> None:
        value = self.values.pop(trial, None)
        if value is None:
            return

        self.ranking.drop(trial)
        at = bisect_left(self.sorted, (value, trial))
        if self.sorted[at : at + 1] == [(value, trial)]:
            del self.sorted[at]


class Grid(Proposer):
    """Every configuration of a finite space once, in order."""

    multi_objective = True

    def bind(
        self, space: Space, *, first: Sequence[Config], seed: int, steps: int, slots: int
    ) -> None:
        """See `Proposer.bind`.

        Raises:
            ConfigError: The space has no end.
        """
        super().bind(space, first=first, seed=seed, steps=steps, slots=slots)
        for key, domain in space.domains.items():
            if domain.size == math.inf:
                raise ConfigError(
                    f"tuner=grid: {key}={domain} has no end: give choices, as {key}=0.1,0.01, or "
                    "another tuner"
                )

        self.rest = (config for config in space.grid() if config not in self.first)

    def propose(self, trial: int) -> Proposal | None:
        """Return the next configuration of the grid; None after the last."""
        config = next(self.rest, None)
        if config is None:
            return None
        return Proposal(config)
