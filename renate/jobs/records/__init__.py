"""What a job is told, says while it runs and answers at its end: all that whoever runs one has to
keep to.

A launcher writes a `JobRecord` into `job.json`, beside `config.yaml`. It hands on `Event`s, as a
job's processes write them to their pipe, one JSON object per line, and as a job far away leaves
them in its folder. It reads `ReportRow`s, the lines of
`metrics.jsonl`, and reads and hands on `JobResult`, which `JobDirectory` finds in `result.json`.
The JSON holds what there is, and nothing of the rest.
"""

from renate.jobs.records.job_record import JobRecord
from renate.jobs.records.outcome import (
    ALIVE,
    COMPLETED,
    DONE,
    ENDED,
    FAILED,
    LOG,
    PHASE,
    PROGRESS,
    REPORT,
    RESUMED,
    STARTED,
    STOPPED,
    SUBMITTED,
    TOLD,
    UNFINISHED,
    Event,
    JobResult,
)
from renate.jobs.records.report_row import ReportRow
from renate.state.parent import ParentVersion

__all__ = [
    "ALIVE",
    "COMPLETED",
    "DONE",
    "ENDED",
    "FAILED",
    "LOG",
    "PHASE",
    "PROGRESS",
    "REPORT",
    "RESUMED",
    "STARTED",
    "STOPPED",
    "SUBMITTED",
    "TOLD",
    "UNFINISHED",
    "Event",
    "JobRecord",
    "JobResult",
    "ParentVersion",
    "ReportRow",
]
