"""What a report is made of: the numbers of the records as they stand, and None for what is
missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from renate.state.aliases.verdict import Verdict
from renate.state.measured.answer_counts import AnswerCounts
from renate.tuning.space import Space
from renate.tuning.trial import Trial

Scores = Mapping[str, Mapping[str, float]]  # test -> metric -> value

STATE = "state"
STREAM = "stream"
SWEEP = "sweep"
COMPARISON = "comparison"
SIMULATION = "simulation"


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
        before: The share of its test examples that the version before answers rightly.
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

    def mean(self, metric: str, *, before: bool = False) -> float | None:
        """A metric's mean over the tests that have it; None where none has."""
        scores = self.before if before else self.after
        known = [score[metric] for score in scores.values() if metric in score]
        return fmean(known) if known else None

    def by_class(self) -> list["ClassChange"]:
        """Each class that has test examples before and now, the largest fall first; none where
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


@dataclass(frozen=True)
class Matrix:
    """A metric on each chunk (column) after each update (row).

    Attributes:
        chunks: Names of the columns.
        rows: A value for each chunk; as many rows as updates so far.
    """

    chunks: Sequence[str]
    rows: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Curve:
    """What was reported while one update trained.

    Attributes:
        name: Of the update, in words; "" where there is one.
        points: Metric -> (step, value), in order.
    """

    name: str
    points: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Tuning:
    """A tuner's sweep.

    Attributes:
        metric: The objective.
        mode: `max` or `min`.
        secondary: Further objectives -> their modes.
        space: What was tuned.
        trials: In the order in which they were asked for.
        best: The winner; None where no trial has completed.
        front: Of several objectives, the trials that no other beats in all of them.
        unit: What a trial's steps are: `epoch`, or `report`.
        why: What ended it.
    """

    metric: str
    mode: str
    secondary: Mapping[str, str]
    space: Space
    trials: Sequence[Trial]
    best: Trial | None
    front: Sequence[int] = ()
    unit: str = "epoch"
    why: str = ""


@dataclass(frozen=True)
class DriftCheck:
    """New data compared with what a version was trained on.

    Attributes:
        when: In ISO 8601.
        job: Which job looked.
        version: The version that it compared with.
        effect: The largest effect among the tests that found something; 0 where none did.
        p_value: The smallest of the corrected ones.
        level: Below which one counts.
        moved: (what, effect, corrected p) of the tests that found something.
        decision: `update` or `wait`; None where no policy was asked.
        reasons: Why.
    """

    when: str
    job: str
    version: int
    effect: float | None
    p_value: float | None
    level: float | None
    moved: Sequence[tuple[str, float, float]] = ()
    decision: str | None = None
    reasons: Sequence[str] = ()


@dataclass(frozen=True)
class Run:
    """One of several jobs that are compared.

    Attributes:
        name: The overrides that the others don't share.
        group: The same without its seed.
        status: How it ended.
        metrics: What it ended with.
        rows: Of a stream: its matrix.
        seconds: How long it took; None where unknown.
        error: Why it failed.
    """

    name: str
    group: str
    status: str
    metrics: Mapping[str, float]
    rows: Sequence[Sequence[float]] = ()
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Report:
    """All that one page says.

    Attributes:
        kind: `state`, `stream`, `sweep`, `comparison` or `simulation`.
        title: What it is about, in a few words.
        source: The URL or folder that it was made from.
        measure: The metric that it is about; None where nothing was measured.
        labels: What each output stands for.
        updates: Versions, the oldest first.
        gone: How many older versions aren't there any more.
        used: The version in use; None where there is none.
        matrix: Of a stream.
        metrics: Of a stream or a job: what it ended with.
        curves: What was reported on the way.
        tuning: Of a sweep.
        runs: Of several jobs.
        drift: What looked at new data, the oldest first.
        changed: (key, before, now) of the newest version's config and its parent's.
        settings: (key, value) of the newest version's config, the most telling ones.
        missing: What the page would show and the records don't have, and why: lines.
        command: What made it, as a command.
        packages: Versions of what decides a result, in words.
    """

    kind: str
    title: str
    source: str
    measure: Measure | None = None
    labels: Sequence[str] = ()
    updates: Sequence[Update] = ()
    gone: int = 0
    used: int | None = None
    matrix: Matrix | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Sequence[Curve] = ()
    tuning: Tuning | None = None
    runs: Sequence[Run] = ()
    drift: Sequence[DriftCheck] = ()
    changed: Sequence[tuple[str, str, str]] = ()
    settings: Sequence[tuple[str, str]] = ()
    missing: Sequence[str] = ()
    command: str = ""
    packages: str = ""

    @property
    def newest(self) -> Update | None:
        """The newest version; None where there is none."""
        return self.updates[-1] if self.updates else None

    def update_of(self, version: int | None) -> Update | None:
        """A version by its number; None where it isn't there."""
        return next((one for one in self.updates if one.version == version), None)

    def label(self, index: int) -> str:
        """What an output stands for."""
        if index < len(self.labels):
            return self.labels[index]
        return f"output {index}"
