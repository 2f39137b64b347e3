"""What a report is made of: the numbers of the records as they stand, and None for what is
missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from renate.report.versions import Measure, Update
from renate.tuning.space import Space
from renate.tuning.trial import Trial

STATE = "state"
STREAM = "stream"
SWEEP = "sweep"
COMPARISON = "comparison"
SIMULATION = "simulation"


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
class Slice:
    """What happened in a simulation when a slice of data came.

    Attributes:
        number: From 1.
        time: When it had wholly come, ISO 8601.
        examples: How many it has.
        score: What the version in use was worth on it before any was trained on it; None where
            there was none, or the metric isn't defined on it.
        decision: `update` or `wait`.
        reasons: Why.
        updated: The version that an update then made; None where there was no update.
        verdict: What its gate said; None without a gate or an update.
        verdict_reasons: Why.
        in_use: The version in use from then on; None where there is none yet.
        seconds: What the update took; 0 where there was none.
        effect: How much the last slices differed from what the version was trained on; None where
            nobody asked.
    """

    number: int
    time: str
    examples: int
    score: float | None
    decision: str
    reasons: str
    updated: int | None
    verdict: str | None
    verdict_reasons: str
    in_use: int | None
    seconds: float
    effect: float | None = None


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
        slices: Of a simulation: what happened when each slice came.
    """

    name: str
    group: str
    status: str
    metrics: Mapping[str, float]
    rows: Sequence[Sequence[float]] = ()
    seconds: float | None = None
    error: str | None = None
    slices: Sequence[Slice] = ()


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
        slices: Of a simulation.
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
    slices: Sequence[Slice] = ()
    drift: Sequence[DriftCheck] = ()
    changed: Sequence[tuple[str, str, str]] = ()
    settings: Sequence[tuple[str, str]] = ()
    missing: Sequence[str] = ()
    command: str = ""
    packages: str = ""

    @property
    def newest(self) -> Update | None:
        """The newest version; None where there is none."""
        if self.updates:
            return self.updates[-1]
        return None

    def update_of(self, version: int | None) -> Update | None:
        """A version by its number; None where it isn't there."""
        return next((one for one in self.updates if one.version == version), None)

    def label(self, index: int) -> str:
        """What an output stands for."""
        if index < len(self.labels):
            return self.labels[index]
        return f"output {index}"
