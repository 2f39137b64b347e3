"""A tuner's sweep, as a report tells of it."""

from pathlib import Path

from renate.errors import JobError
from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobResult
from renate.report.facts import Tuning
from renate.tuning.on_disk.sweep_folder import best_of, trials_of
from renate.tuning.on_disk.sweep_record import SweepRecord


def tuning_of(folder: Path, record: SweepRecord) -> Tuning:
    """Return a sweep's trials, as its log has them.

    Raises:
        JobError: It has none, or a file is damaged.
    """
    trials = trials_of(folder)
    if not trials:
        raise JobError(f"{folder}: a sweep without a trial yet: there is nothing to report on")

    result = JobDirectory(folder).result or JobResult("")
    front = [int(one["trial"]) for one in result.pareto or []]
    return Tuning(
        record.metric,
        record.mode,
        record.secondary,
        record.space,
        trials,
        best_of(trials, record.mode, record.secondary.values()),
        front,
        why=result.why or "",
    )
