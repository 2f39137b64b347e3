"""What is noted of a version's answers to the tests, besides its metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from renate.state.measured.answer_counts import AnswerCounts, together


@dataclass
class Answered:
    """What is noted of a version's answers to the tests; of several processes the first one has it.

    Attributes:
        right: Test name -> whether each answer is right, bool [N].
        counts: Test name -> how often which class was answered for which.
    """

    right: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, AnswerCounts] = field(default_factory=dict)

    def on(self, tests: Sequence[str]) -> AnswerCounts | None:
        """Return the counts of some tests together; None where none of them was counted."""
        return together(self.counts[name] for name in tests if name in self.counts)
