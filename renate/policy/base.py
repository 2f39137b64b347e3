"""What a policy is: from what is known of new data and of the version in use to a decision."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # detectors import torch, which a page that shows decisions does without
    from renate.shift.detector import Drift

UPDATE = "update"
WAIT = "wait"


@dataclass(frozen=True)
class Score:
    """What the version in use is worth.

    Attributes:
        metric: The problem's own.
        own: On its tests, when it was made.
        now: On the new data, before they are trained on.
        mode: Which way it is better, `max` or `min`.
        errors: How many of the new examples are answered wrongly more than its own score lets one
            expect; None where its metric isn't the share of right ones.
    """

    metric: str
    own: float
    now: float
    mode: str
    errors: float | None

    @property
    def drop(self) -> float:
        """How much worse it is on the new data; negative where it is better."""
        if self.mode == "max":
            return self.own - self.now
        return self.now - self.own


class Situation(Protocol):
    """What a policy may ask; what costs something is computed when it is asked for.

    Each raises RenateError where it can't be told.
    """

    def new_examples(self) -> int:
        """How many examples no version in use was trained on."""

    def age(self) -> float:
        """Seconds since the version in use was made."""

    def made(self) -> datetime:
        """When the version in use was made, in UTC."""

    def now(self) -> datetime:
        """When this is asked, in UTC: in a simulation by the data's own time."""

    def training_seconds(self) -> float:
        """What the update took that made it."""

    def drift(self) -> "Drift":
        """How the new data differ from the version's reference."""

    def earlier_effects(self) -> Sequence[float]:
        """Effects of earlier looks for drift, as far as they are known, the oldest first."""

    def score(self) -> Score:
        """What the version in use is worth on the new data."""


@dataclass(frozen=True)
class Decision:
    """What a policy says.

    Attributes:
        is_due: Whether an update is due.
        reasons: Why, or why not, a line each.
    """

    is_due: bool
    reasons: Sequence[str]

    @property
    def word(self) -> str:
        """`update` or `wait`."""
        return UPDATE if self.is_due else WAIT

    def to_json(self) -> dict[str, Any]:
        """As a result holds it."""
        return {"decision": self.word, "reasons": list(self.reasons)}


class Policy(ABC):
    """A policy. The constructor takes its settings."""

    @abstractmethod
    def decide(self, situation: Situation) -> Decision:
        """Say whether an update is due.

        Raises:
            RenateError: What it goes by can't be told.
        """
