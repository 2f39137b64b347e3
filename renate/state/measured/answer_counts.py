"""Counts of a model's answers, from which confusion, accuracy by class and calibration follow.

Nothing here imports torch: reports are drawn from a state alone.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from renate.state.strict import items, mapping, need, number, shown, whole

BINS = 15  # of equal width, as the gate's calibration error has (Guo et al., 2017)
MOST_PAIRS = 100_000  # different (truth, answer): of more nothing is kept
Pair = tuple[int, int]


@dataclass(frozen=True)
class Bin:
    """Answers of which the model was about equally sure.

    Attributes:
        examples: How many.
        right: How many of them are right.
        confidence: The sum of their probabilities.
    """

    examples: int
    right: int
    confidence: float

    def __add__(self, other: "Bin") -> "Bin":
        return Bin(
            self.examples + other.examples,
            self.right + other.right,
            self.confidence + other.confidence,
        )


@dataclass(frozen=True)
class AnswerCounts:
    """How often which class was answered for which, and how sure the model was.

    Attributes:
        confusion: (index of the true class, of the answer) -> examples; what never came is left
            out.
        bins: Answers by their probability, `BINS` of equal width from 0 to 1.
    """

    confusion: dict[Pair, int]
    bins: tuple[Bin, ...]

    @property
    def examples(self) -> int:
        """How many answers there are."""
        return sum(self.confusion.values())

    @property
    def right(self) -> int:
        """How many of them are right."""
        return sum(count for (truth, answer), count in self.confusion.items() if truth == answer)

    def __add__(self, other: "AnswerCounts") -> "AnswerCounts":
        both = Counter(self.confusion)
        both.update(other.confusion)
        bins = tuple(one + two for one, two in zip(self.bins, other.bins, strict=True))
        return AnswerCounts(dict(both), bins)

    def by_class(self) -> dict[int, tuple[int, int]]:
        """Return (right answers, examples) of each class that has an example."""
        found: dict[int, tuple[int, int]] = {}
        for (truth, answer), count in sorted(self.confusion.items()):
            right, examples = found.get(truth, (0, 0))
            found[truth] = (right + count * (truth == answer), examples + count)

        return found

    def calibration_error(self) -> float:
        """Return the expected calibration error (Guo et al., 2017,
        https://arxiv.org/abs/1706.04599, eq. 3): how far on average a probability is from the
        share that is right.
        """
        gaps = sum(abs(each.right - each.confidence) for each in self.bins)
        return gaps / self.examples

    def to_json(self) -> dict[str, Any] | None:
        """As a version keeps it; None where it would be too much."""
        if len(self.confusion) > MOST_PAIRS:
            return None

        pairs = sorted(self.confusion.items())
        return {
            "confusion": [[truth, answer, count] for (truth, answer), count in pairs],
            "bins": [[each.examples, each.right, each.confidence] for each in self.bins],
        }

    @classmethod
    def from_json(cls, content: Any, key: str) -> "AnswerCounts":
        """From what `to_json` gave.

        Raises:
            ValueError: It isn't that; in one line.
        """
        found = mapping(content, key, ("confusion", "bins"))
        pairs = items(found["confusion"], f"{key}.confusion", _pair, MOST_PAIRS)
        confusion = {(truth, answer): count for truth, answer, count in pairs}
        need(len(confusion) == len(pairs), f"{key}.confusion names a pair twice")

        bins = items(found["bins"], f"{key}.bins", _bin, BINS)
        need(len(bins) == BINS, f"{key}.bins has {len(bins)} items, expected {BINS}")
        counts = cls(confusion, tuple(bins))
        in_bins = sum(each.examples for each in bins)
        need(
            in_bins == counts.examples > 0,
            f"{key}.bins have {in_bins} examples, its confusion {counts.examples}",
        )
        return counts


def together(counts: Iterable[AnswerCounts]) -> AnswerCounts | None:
    """Return the counts of several data sets as one; None where there are none."""
    known = list(counts)
    if not known:
        return None
    return reduce(lambda one, two: one + two, known)


def _pair(value: Any, key: str) -> tuple[int, int, int]:
    found = items(value, key, whole, 3)
    need(len(found) == 3, f"{key} is {shown(value)}, expected truth, answer and examples")
    truth, answer, count = found
    return truth, answer, count


def _bin(value: Any, key: str) -> Bin:
    found = items(value, key, number, 3)
    need(len(found) == 3, f"{key} is {shown(value)}, expected examples, right and confidence")
    examples = whole(value[0], f"{key}[0]")
    right = whole(value[1], f"{key}[1]", 0, examples + 1)
    need(
        0.0 <= found[2] <= examples + 1e-6,
        f"{key}[2] is {shown(value[2])}, expected 0 to {examples}",
    )
    return Bin(examples, right, found[2])
