"""A trial, what is reported of it, and what a sweep asks of whoever runs it."""

from dataclasses import dataclass, field
from typing import Protocol

from renate.tuning.space import Config

RUNNING = "running"


@dataclass
class Trial:
    """One configuration, and what it came to.

    Attributes:
        value: The best value reported, of a completed trial its final one; as measured, not turned.
        step: The last epoch reported.
        parent: Of a clone, the trial that it goes on from.
        since: The epoch of its parent after which it does.
        twin: The earlier trial of the same configuration whose outcome is this one's as well.
        start: Where in the logical order of events it began (`order=fixed`).
        secondary: Of several objectives, the further ones' values at the epoch of `value`; as
            measured.
    """

    id: int
    config: Config
    source: str
    parent: int | None = None
    since: int = 0
    status: str = RUNNING
    step: int = 0
    value: float | None = None
    curve: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    twin: int | None = None
    start: int = 0
    taken: int = 0
    secondary: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """A running trial has finished an epoch."""

    trial: int
    step: int
    value: float
    secondary: tuple[float, ...] = ()


@dataclass(frozen=True)
class End:
    """A trial has ended by itself: completed with its final value, or failed."""

    trial: int
    status: str
    value: float | None
    seconds: float
    error: str | None = None
    secondary: tuple[float, ...] = ()  # where they are known at the end only


class Backend(Protocol):
    """Where trials run."""

    slots: int

    def start(self, trial: Trial) -> None:
        """Begin, or go on after a kill: reports up to `trial.step` are known already and may
        come again.
        """

    def stop(self, trial: Trial) -> None:
        """Told once that a trial isn't worth finishing, or has failed; what it still says is
        ignored.
        """

    def next(self, timeout: float | None) -> Report | End | None:
        """Wait for the next event of any trial; None where none came in time."""

    def clock(self) -> float:
        """Seconds since some moment."""
