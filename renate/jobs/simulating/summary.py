"""What a simulation comes to."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from renate.errors import ConfigError
from renate.jobs.simulating.slice_row import SliceRow
from renate.state.aliases.verdict import PROMOTE

HOUR = 3600.0
KEYS = ("per_error", "per_hour")


@dataclass(frozen=True)
class Costs:
    """Prices, in the same money.

    Attributes:
        per_error: Of a wrong answer.
        per_hour: Of an hour of training.
    """

    per_error: float
    per_hour: float

    @classmethod
    def of(cls, node: Any) -> "Costs":
        """As the config has them. Raises ConfigError."""
        if not isinstance(node, Mapping) or set(node) != set(KEYS):
            raise ConfigError(f"job.cost={node}: expected {' and '.join(KEYS)}")
        for name in KEYS:
            value = node[name]
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            if not fits or not 0 <= value < math.inf:
                raise ConfigError(f"job.cost.{name}={value}: expected a number, 0 or more")

        return cls(float(node["per_error"]), float(node["per_hour"]))


def summary_of(rows: Sequence[SliceRow], metric: str, costs: Costs) -> dict[str, float]:
    """Return what a simulation comes to, all of it after the first version, which every policy
    has.

    `prequential_<metric>` is the mean over the slices that have a score; `updates` counts the
    trainings, `promoted` those whose version was used; `training_seconds` is what they took;
    `cost` is that of wrong answers and trainings, where answers are right or wrong.
    """
    scores = [row.score for row in rows if row.score is not None]
    later = [row for row in rows if row.version is not None]
    trained = [row for row in later if row.updated is not None]
    seconds = sum(row.seconds for row in trained)
    found: dict[str, float] = {}
    if scores:
        found[f"prequential_{metric}"] = fmean(scores)

    found["updates"] = float(len(trained))
    found["promoted"] = float(sum(row.verdict in (None, PROMOTE) for row in trained))
    found["training_seconds"] = seconds
    errors = [row.errors for row in later]
    counted = [count for count in errors if count is not None]
    if len(counted) == len(errors):
        found["wrong_answers"] = float(sum(counted))
        found["cost"] = sum(counted) * costs.per_error + seconds / HOUR * costs.per_hour
    return found
