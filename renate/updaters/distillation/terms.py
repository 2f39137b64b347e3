"""What the terms of super_er are weighed by."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DERTerms:
    """The weights of staying close to stored logits (alpha) and of predicting stored targets
    (beta).
    """

    alpha: float
    beta: float


@dataclass(frozen=True)
class PODTerm:
    """The weight of staying close to stored features (alpha), and which, as of pod_er."""

    alpha: float
    modules: Sequence[str] | None
    pooling: str
    normalize: bool


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
