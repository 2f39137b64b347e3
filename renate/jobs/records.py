"""What a job answers: all that whoever runs a job directory finds in its `result.json`.

A launcher of any kind reads and hands on `JobResult`; `JobDirectory` reads and writes it. The file holds
what is known, and nothing of the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

COMPLETED = "completed"
FAILED = "failed"
STOPPED = "stopped"  # it was asked to, and nothing is published
SUBMITTED = "submitted"  # it runs elsewhere, and nobody waits for it
UNFINISHED = "unfinished"  # it has left no result


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
        matrix: Of a stream: the matrix metric on chunk i (column) after update t (row).
        evaluated: The version that was measured.
        already: The version that an earlier run of this very job had published.
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
    evaluated: int | None = None
    already: int | None = None
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
        """From what `to_json` gave, in this release or an earlier one; unknown keys are left out."""
        names = {one.name for one in fields(cls)}
        known = {key: value for key, value in content.items() if key in names}
        return cls(**{key: value for key, value in known.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """As `result.json` holds it: the first four fields, and of the others what there is."""
        found: dict[str, Any] = {
            "status": self.status,
            "value": self.value,
            "metrics": dict(self.metrics),
            "version": self.version,
        }
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in found and value is not None and value is not False:
                found[one.name] = value
        return found
