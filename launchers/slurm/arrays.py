"""Jobs that are submitted at once, as the tasks of one array.

An array has a name and a folder below `backend.staging`, `machines/<array>/`. It holds a link for
each task, named by the task's index, to the submission's own folder: by it SLURM finds the task's
script and where its output goes, and whoever lists jobs finds which submission a task is.
"""

import shlex
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from renate.errors import JobError, RenateError
from renate.jobs.directory import JobDirectory

from .scheduler import SlurmJob

PAUSE = 0.3  # seconds without a further job after which an array is submitted
MOST = 1000  # tasks of one array: SLURM's own MaxArraySize is 1001, unless a cluster says otherwise
INDEX = '"$SLURM_ARRAY_TASK_ID"'


@dataclass(frozen=True)
class BatchJob:
    """A submission whose folder is written and whose script is to be queued.

    Attributes:
        name: The submission's.
        id: Our id of the job.
        place: The submission's own folder, which holds `script.sh`.
    """

    name: str
    id: str
    place: Path


@dataclass
class _Gathered:
    jobs: list[BatchJob] = field(default_factory=list)
    numbers: Future[Sequence[str]] = field(default_factory=Future)


class Gathering:
    """Has what several threads submit within a moment submitted by one call.

    Args:
        submit: Queues jobs; returns SLURM's number of each.
        most: Jobs of one call.
    """

    def __init__(self, submit: Callable[[Sequence[BatchJob]], Sequence[str]], most: int) -> None:
        self.submit = submit
        self.most = min(most, MOST)
        self.changed = threading.Condition()
        self.open: _Gathered | None = None

    def add(self, job: BatchJob) -> str:
        """Queue a job; return SLURM's number of it. Raises SlurmError where SLURM refuses."""
        with self.changed:
            first = self.open is None
            gathered = self.open or _Gathered()
            index = len(gathered.jobs)
            gathered.jobs.append(job)
            self.open = gathered if len(gathered.jobs) < self.most else None
            self.changed.notify_all()
            if first:
                self._wait_for_more(gathered)

        if first:
            self._submit(gathered)
        return gathered.numbers.result()[index]

    def _wait_for_more(self, gathered: _Gathered) -> None:
        while self.open is gathered:
            before = len(gathered.jobs)
            self.changed.wait(PAUSE)
            if len(gathered.jobs) == before and self.open is gathered:
                self.open = None

    def _submit(self, gathered: _Gathered) -> None:
        try:
            gathered.numbers.set_result(self.submit(gathered.jobs))
        except RenateError as error:
            gathered.numbers.set_exception(error)
        # Other threads wait for the answer, whatever it is
        except BaseException as error:
            gathered.numbers.set_exception(error)
            raise


def write_array(folder: Path, jobs: Sequence[BatchJob]) -> str:
    """Write an array's folder; return the script that all its tasks share.

    The script becomes the task's own, so that signals reach that one.
    """
    folder.mkdir(parents=True)
    for index, job in enumerate(jobs):
        (folder / str(index)).symlink_to(Path("..", job.place.name))

    place = shlex.quote(str(folder))
    return f"#!/bin/bash\n# {len(jobs)} jobs\nexec bash {place}/{INDEX}/script.sh\n"


def submission_of(found: SlurmJob) -> str | None:
    """The name of the submission that an array's task is; None where its folder is gone."""
    folder = Path(found.place[1], "machines", found.name)
    try:
        return (folder / found.index).readlink().name
    except OSError:
        return None


def as_submission(found: SlurmJob) -> SlurmJob | None:
    """An array's task under the name and with the id of its own job; None where its folder is
    gone.
    """
    name = submission_of(found)
    if name is None:
        return None

    base = found.place[1]
    try:
        record = JobDirectory(Path(base, "machines", name, "channel")).record
    except (OSError, JobError):
        return None
    return replace(found, name=name, place=(record.id, base))
