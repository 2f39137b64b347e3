"""What a job says while it runs, and answers at its end: `Event` and `JobResult`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

# Kinds of events. Of a process: it began; it lives; its job is done; it ended as one of several.
STARTED = "started"
ALIVE = "alive"
DONE = "done"
ENDED = "ended"
# Of a job: a line with or without metrics; how far it is; it goes on from a checkpoint; what an
# earlier run of it has told of work that was kept.
REPORT = "report"
PROGRESS = "progress"
RESUMED = "resumed"
TOLD = "told"
# Of a machine: what was printed; what its backend says.
LOG = "log"
PHASE = "phase"

# How a job ended.
COMPLETED = "completed"
FAILED = "failed"
STOPPED = "stopped"  # it was asked to, and nothing is published
SUBMITTED = "submitted"  # it runs elsewhere, and nobody waits for it
UNFINISHED = "unfinished"  # it has left no result


@dataclass(frozen=True)
class Event:
    """Something that happens while a job runs.

    Attributes:
        kind: One of the above; whoever doesn't know one passes over it.
        text: What a person reads.
        time: Seconds since the epoch, where it travels.
        update: Of a report within a stream: of which update.
        metrics: Of a report: epoch, step and what was measured, as `metrics.jsonl` has them.
        always: Of a report: it is shown also where bars are.
        done: Of progress: how much.
        total: Of progress: of how much.
        reports: Of a job that was resumed: the lines of `metrics.jsonl` up to its checkpoint. Of
            what was told: all of them.
        pid: Of a process that began.
    """

    kind: str
    text: str = ""
    time: float | None = None
    update: str = ""
    metrics: Mapping[str, Any] | None = None
    always: bool = False
    done: int | None = None
    total: int | None = None
    reports: Sequence[dict[str, Any]] | None = None
    pid: int | None = None

    @property
    def row(self) -> dict[str, Any]:
        """A report with metrics as a line of `metrics.jsonl`, but for its time."""
        named = {}
        if self.update:
            named = {"update": self.update}

        return named | dict(self.metrics or {})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Event":
        """From what `to_json` gave, or a job wrote; unknown keys are left out."""
        return cls(**_known(cls, {**content, "kind": content["event"]}))

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        return {"event": self.kind} | _what_there_is(self, but=("kind",))


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        status: `completed`, `failed` or `stopped`; of what a command says also `submitted`.
        value: The objective.
        metrics: Of the test data, after the job.
        version: What was published; None where nothing was.
        url: The state that the outcome is in.
        error: Of a failed job: why, in one line.
        seconds: The job's.
        before: The metrics of the version that the job started from.
        counts: Steps, examples per second, the epoch whose weights were kept.
        matrix: Of a stream: `metric` on chunk i (column) after update t (row).
        metric: The problem's own, `accuracy`, of streams and evaluations.
        mode: Which way that is better, `max` or `min`.
        evaluated: The version that was measured.
        already: The version that an earlier run of this very job had published.
        nothing_new: Where nothing was trained because the state has trained on all files: in words.
        predicted: The version that answered.
        output: The file that holds the answers.
        job: The folder of that run, where it is still there.
        lost: Of several processes: this one ended because another did, and no result was written.
        capacity: It failed because there was no machine for it.
        training_job: Of a submitted job: its name there.
        follow: Of a submitted job: the command that follows it.
        printed: Of a sweep that ran elsewhere: what its command ended with.
        sweep: Of a sweep that ran elsewhere: its jobs, or its record and events.
        trials: Of a tuner's sweep: how many.
        why: What ended a tuner's sweep.
        best_trial: Its winner.
        best_params: The winner's values.
        pareto: What no other trial beats in all objectives.
        detected: The version that new data were compared with.
        decision: Whether an update is due, and why: see `renate.policy.base.Decision`.
        drift: How the data differ: see `renate.shift.detector.Drift`.
        registered: `where` a published version was registered, or the `error` that kept it from
            being.
        gate: Whether the version may be used, and why: see `renate.state.aliases.verdict`.
    """

    status: str
    value: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None
    url: str | None = None
    error: str | None = None
    seconds: float | None = None
    before: Mapping[str, Any] | None = None
    counts: Mapping[str, float] | None = None
    matrix: Sequence[Sequence[float]] | None = None
    metric: str | None = None
    mode: str | None = None
    evaluated: int | None = None
    already: int | None = None
    nothing_new: str | None = None
    predicted: int | None = None
    output: str | None = None
    job: str | None = None
    lost: bool = False
    capacity: bool = False
    training_job: str | None = None
    follow: str | None = None
    printed: str | None = None
    sweep: Mapping[str, Any] | None = None
    trials: int | None = None
    why: str | None = None
    best_trial: int | None = None
    best_params: Mapping[str, str] | None = None
    pareto: Sequence[Mapping[str, Any]] | None = None
    gate: Mapping[str, Any] | None = None
    detected: int | None = None
    decision: Mapping[str, Any] | None = None
    drift: Mapping[str, Any] | None = None
    registered: Mapping[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether the job failed."""
        return self.status == FAILED

    @property
    def completed(self) -> bool:
        """Whether the job did what it was asked for."""
        return self.status == COMPLETED

    @property
    def reason(self) -> str:
        """Why a job that did not complete didn't."""
        return self.error or f"the job was {self.status}"

    @classmethod
    def failure(cls, error: str, **known: Any) -> "JobResult":
        """The result of a job that failed.

        Args:
            error: Why, in one line.
            **known: Further fields.
        """
        return cls(FAILED, error=error, **known)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "JobResult":
        """From what `to_json` gave, in this release or an earlier one.

        Unknown keys are left out.
        """
        return cls(**_known(cls, content))

    def to_json(self) -> dict[str, Any]:
        """As `result.json` holds it: the first four fields, and of the others what there is."""
        first = {
            "status": self.status,
            "value": self.value,
            "metrics": dict(self.metrics),
            "version": self.version,
        }
        return first | _what_there_is(self, but=first)


def _known(cls: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a record's fields; null is what a field is without."""
    names = {one.name for one in fields(cls)}
    known = {key: value for key, value in content.items() if key in names}
    return {key: value for key, value in known.items() if value is not None}


def _what_there_is(record: Any, but: Collection[str]) -> dict[str, Any]:
    """A record's fields that are neither empty nor among `but`."""
    names = [one.name for one in fields(record) if one.name not in but]
    values = {name: getattr(record, name) for name in names}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }
