"""What a report tells of a version, and of the metric that versions are compared by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from renate.state.aliases.verdict import Verdict
from renate.state.measured import VALIDATION
from renate.state.measured.answer_counts import AnswerCounts

Scores = Mapping[str, Mapping[str, float]]  # test -> metric -> value


@dataclass(frozen=True)
class Measure:
    """The metric that a report is about.

    Attributes:
        name: `accuracy`.
        mode: Which way it is better, `max` or `min`; None where nobody knows, and then nothing is
            called better or worse.
    """

    name: str
    mode: str | None

    @property
    def title(self) -> str:
        """Its name at the beginning of a sentence."""
        return self.name[:1].upper() + self.name[1:].replace("_", " ")

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1, and is read in percent."""
        return self.name.startswith(("accuracy", "task_accuracy", "f1"))

    def text(self, value: float | None) -> str:
        """A value for people; a dash where there is none."""
        if value is None:
            return "–"
        if self.is_share:
            return f"{100 * value:.1f} %"
        return f"{value:.4g}"

    def difference(self, value: float) -> str:
        """A difference of two values, without its sign."""
        if self.is_share:
            return f"{100 * abs(value):.1f} points"
        return f"{abs(value):.4g}"

    def gain(self, before: float, after: float) -> float | None:
        """How much better a value is than another; None where nobody knows which way is better."""
        if self.mode is None:
            return None
        return after - before if self.mode == "max" else before - after


@dataclass(frozen=True)
class ClassChange:
    """What became of one class by an update.

    Attributes:
        label: Its index.
        before: The share of its examples that the version before answers rightly.
        after: The same of the outcome.
        examples: So many examples.
    """

    label: int
    before: float
    after: float
    examples: int

    @property
    def change(self) -> float:
        """How much the share rose."""
        return self.after - self.before


@dataclass(frozen=True)
class Update:
    """One version, and the update that made it.

    Attributes:
        version: Its number.
        created: When, in ISO 8601.
        parent: The version that it was begun from, in words; None for the first.
        before: Scores of the version in use then; empty at a first update.
        after: Scores of this version.
        parent_version: The parent's number, where it is of this state.
        untrained: At a first update, the scores of networks that nobody has trained.
        counts: Steps and the like.
        size: Bytes of all its files.
        seconds: The update's; None where the records don't say.
        verdict: The gate's; None where none was asked.
        aliases: Names that are here now.
        moves: Who moved an alias here, and why: lines.
        answers: `before` and `after` -> what was answered for what on the tests; absent where that
            was not recorded.
        memory: Examples of each label that it keeps, in the order of the outputs; None where
            unknown.
        trained: The same of what it was trained on, without the memory.
        job: The job that made it.
        lineage: (name, text) of where it comes from.
    """

    version: int
    created: str
    parent: str | None
    before: Scores
    after: Scores
    parent_version: int | None = None
    untrained: Scores = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    size: int = 0
    seconds: float | None = None
    verdict: Verdict | None = None
    aliases: Sequence[str] = ()
    moves: Sequence[str] = ()
    answers: Mapping[str, AnswerCounts] = field(default_factory=dict)
    memory: Sequence[int] | None = None
    trained: Sequence[int] | None = None
    job: str | None = None
    lineage: Sequence[tuple[str, str]] = ()

    @property
    def measured_on(self) -> str:
        """What its scores are of, in words."""
        if set(self.after) == {VALIDATION}:
            return "validation data"
        return "test data"

    def mean(self, metric: str, *, before: bool = False) -> float | None:
        """A metric's mean over the tests that have it; None where none has."""
        scores = self.before if before else self.after
        known = [score[metric] for score in scores.values() if metric in score]
        if known:
            return fmean(known)
        return None

    def by_class(self) -> list["ClassChange"]:
        """Each class that was measured before and now, the largest fall first; none where
        that was not recorded.
        """
        if set(self.answers) != {"before", "after"}:
            return []

        before = self.answers["before"].by_class()
        found = [
            ClassChange(each, before[each][0] / before[each][1], right / examples, examples)
            for each, (right, examples) in self.answers["after"].by_class().items()
            if each in before
        ]
        return sorted(found, key=lambda one: one.change)
