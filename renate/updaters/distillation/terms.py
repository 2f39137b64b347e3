"""What the terms of super_er are weighed by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from renate.checks.arguments import check_arguments
from renate.checks.bounds import at_least_0
from renate.errors import ConfigError, nearest
from renate.updaters.distillation.pooled_features import check_pooling
from renate.updaters.shared.averages import check_average

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class DERTerms:
    """The weights of staying close to stored logits (alpha) and of predicting stored targets
    (beta).
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        at_least_0(alpha=self.alpha, beta=self.beta)


@dataclass(frozen=True)
class PODTerm:
    """The weight of staying close to stored features (alpha), and which, as of pod_er."""

    alpha: float
    modules: Sequence[str] | None
    pooling: str
    normalize: bool

    def __post_init__(self) -> None:
        at_least_0(alpha=self.alpha)
        check_pooling(self.pooling)


@dataclass(frozen=True)
class CLSTerm:
    """The weight of staying close to the better of two copies that follow the model (alpha), how
    much of each stays when it follows, and at which share of the steps it does.
    """

    alpha: float
    stable_decay: float
    stable_frequency: float
    plastic_decay: float
    plastic_frequency: float

    def __post_init__(self) -> None:
        at_least_0(alpha=self.alpha)
        check_average("stable", self.stable_frequency, self.stable_decay)
        check_average("plastic", self.plastic_frequency, self.plastic_decay)


def made_of(kind: type[Kind], values: Mapping[str, Any], key: str) -> Kind:
    """Return the settings of a term.

    Args:
        kind: A dataclass.
        values: Of its fields, as a config has them.
        key: Where they stand in the group `updater`.

    Raises:
        ConfigError: One lacks, has no meaning, or is none of its.
    """
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(
                f"updater.{key}.{name}: no such key{nearest(name, known)} ({', '.join(known)})"
            )
    for name in known:
        if name not in values:
            raise ConfigError(f"updater.{key}.{name}: {kind.__name__} needs it")

    check_arguments(kind, values, f"updater.{key}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(f"updater.{key}.{error}") from error
