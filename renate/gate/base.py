"""What a gate is: from a comparison of two versions to a verdict."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from renate.gate.answers import Answers
from renate.problems.base import Problem


@dataclass(frozen=True)
class Pair:
    """What two versions answered for the same examples.

    Attributes:
        before: Of the version in use.
        after: Of the candidate.
    """

    before: Answers
    after: Answers


@dataclass(frozen=True)
class Comparison:
    """What is known of a candidate and of the version in use.

    Attributes:
        new: On new data that neither was trained on.
        called: What these are called: `validation data`, `test data`.
        regression: On the frozen set that the state keeps; None where it keeps none yet.
        tests: Name -> on one of several test sets.
        classes: Name -> on the new examples of one class.
        slices: Name -> on the new examples of a slice that the config names.
        seconds: What a batch takes, of both; None where it was not measured.
        sizes: Bytes of their networks, of both.
        seed: Of what is drawn.
    """

    new: Pair
    called: str
    regression: Pair | None = None
    tests: Mapping[str, Pair] = field(default_factory=dict)
    classes: Mapping[str, Pair] = field(default_factory=dict)
    slices: Mapping[str, Pair] = field(default_factory=dict)
    seconds: tuple[float, float] | None = None
    sizes: tuple[int, int] | None = None
    seed: int = 0


@dataclass(frozen=True)
class Judgement:
    """What a gate says.

    Attributes:
        outcome: `promote`, `hold` or `reject`.
        reasons: Why, a line each.
        measured: Name -> number.
    """

    outcome: str
    reasons: Sequence[str]
    measured: Mapping[str, float]


class Gate(ABC):
    """A gate. The constructor takes the rules."""

    compares: bool = True  # whether it needs a comparison at all
    times: bool = False  # whether it needs to know how long a batch takes
    looks_at_slices: bool = True  # whether slices that the config names mean anything to it

    def check(self, problem: Problem) -> None:  # noqa: B027 (most gates have nothing to check)
        """Return if its rules have a meaning for this problem; asked before anything is trained.

        Raises:
            ConfigError: One hasn't.
        """

    @abstractmethod
    def judge(self, comparison: Comparison | None) -> Judgement:
        """Say whether the candidate may be used; None is given where `compares` is false."""
