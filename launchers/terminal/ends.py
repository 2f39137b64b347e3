"""How a command ends, in each mode of the key `terminal`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from renate.jobs.records import JobResult

from ..base import ComposedJob
from . import report
from .progress import JSON, Progress

Outcome = Sequence[tuple[ComposedJob, JobResult]]


def of_jobs(progress: Progress, jobs: Outcome) -> None:
    """End a command that has run jobs."""
    if progress.is_for_people:
        report.outcome(jobs)
        return
    for job, result in jobs:
        of_one(progress, job.name, job.directory.path, result)


def of_one(
    progress: Progress,
    name: str,
    folder: Path,
    result: JobResult,
    in_words: Callable[[], None] | None = None,
) -> None:
    """End with one outcome: as JSON, or as where it is.

    Args:
        progress: Knows the mode.
        name: Of the job or the sweep.
        folder: Its directory.
        result: What it came to; a failure's words follow as the command's last line.
        in_words: Prints it for people; None: there is nothing to print.
    """
    if progress.is_for_people:
        if in_words is not None:
            in_words()
    elif progress.mode == JSON:
        progress.json.result(name, folder, result)
    elif not result.failed:
        print(folder, flush=True)
