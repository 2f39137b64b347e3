"""Jobs of ours on the cluster, submitted from here or from anywhere that shares its folders."""

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from renate.errors import JobError, nearest
from renate.jobs.records import JobResult

from ..base import ComposedJob, SubmittedJobs
from ..remote.backend import RemoteJob
from ..remote.follow import ASK, Follower, lines
from ..remote.machine import Machine
from ..remote.wait import Submission, wait
from ..terminal.console import command
from . import scheduler
from .arrays import as_submission, submission_of
from .scheduler import SlurmError, SlurmJob

LATEST = "latest"
TOLD_TO_END = 128 + signal.SIGTERM  # of a script whose program was ended by a signal
# Reasons for which a job waits that no time ends -> what does
STUCK = {
    "PartitionNodeLimit": "backend.nodes, above what its partition gives one job, or some are down",
    "PartitionTimeLimit": "backend.time, above what its partition gives one job",
    "PartitionConfig": "what it asks for, above what its partition has: backend.cpus_per_node, "
    "memory_gb, gpus_per_node, nodes or time, or another backend.partition",
    "BadConstraints": "what it asks for, which no node has: backend.sbatch.constraint and others",
    "AccountNotAllowed": "backend.sbatch.account or backend.partition, which don't go together",
    "InvalidAccount": "backend.sbatch.account",
    "InvalidQOS": "backend.sbatch.qos",
    "DependencyNeverSatisfied": "backend.sbatch.dependency",
    "JobHeldUser": "that it is held, by scontrol release",
    "JobHeldAdmin": "that it is held, which an administrator can",
}
# Limits of an account or a quality of service for one job; those for all of a user's end
PER_JOB = re.compile(r"(Assoc|QOS)(Max\w*Per(Job|Node)\w*|Min\w+)")
ENDS = {
    "TIMEOUT": "its time was up: backend.time; the same command goes on from its last checkpoint",
    "CANCELLED": "it was cancelled; the same command goes on from its last checkpoint",
    "OUT_OF_MEMORY": "its node ran out of memory: backend.memory_gb",
    "NODE_FAIL": "its node was lost; the same command goes on from its last checkpoint",
    "PREEMPTED": "it was preempted; the same command goes on from its last checkpoint",
}


def machine_of(settings: Any) -> Machine:
    """What jobs find on a node."""
    shared = settings.get("working_copy") == "shared"
    return Machine("slurm", "../channel", "S3", "s3://", shared=shared, inherits=True)


def place_of(staging: str, name: str) -> Path:
    """A submission's own folder."""
    return Path(staging, "machines", name)


def number_of(staging: str, name: str) -> str | None:
    """SLURM's number of a submission; None where it isn't known, or not yet."""
    try:
        number = (place_of(staging, name) / "slurm_id").read_text().strip()
    except FileNotFoundError:
        return None
    return number if re.fullmatch(r"\d+(_\d+)?", number) else None


def known() -> Iterator[SlurmJob]:
    """This user's jobs that are ours and that SLURM still knows, the newest first; an array's
    tasks by their own names.

    Raises:
        SlurmError: It doesn't answer.
    """
    for each in scheduler.jobs():
        found = as_submission(each) if each.index else each
        if found is not None:
            yield found


def job_of(staging: str, name: str) -> SlurmJob | None:
    """A submission, as SLURM has it; None where it doesn't know it, or not any more.

    A command that was killed may have queued a job without writing its number down.

    Raises:
        SlurmError: It doesn't answer.
    """
    number = number_of(staging, name)
    if number is not None:
        found = scheduler.job(number)
        if found is not None and found.index:
            own = submission_of(replace(found, place=("", staging)))
            found = replace(found, name=own or "")
        # A cluster that was set up anew counts from 1 again
        return found if found is not None and found.name == name else None
    return next((each for each in known() if each.name == name), None)


def look_at(staging: str, name: str) -> RemoteJob | None:
    """How a submission is; None where SLURM was never told of it.

    A controller that doesn't answer has lost no job: then it is taken to go on.
    """
    try:
        found = job_of(staging, name)
        if found is None and number_of(staging, name) is None:
            return None
    except SlurmError as error:
        return RemoteJob(True, phase=str(error))

    if found is None:
        return RemoteJob(False, why_ended="SLURM doesn't know it any more, and it left no result")
    if found.alive:
        return RemoteJob(True, phase=_phase(found))
    return RemoteJob(False, why_ended=_why(staging, name, found))


def _phase(found: SlurmJob) -> str:
    words = found.state.lower()
    if found.state == "PENDING" and found.reason:
        words = f"queued ({found.reason})"
        if changed := _to_change(found.reason):
            words += f", and will be until somebody changes {changed}"
    if found.restarts:
        words += f", queued again {found.restarts} times"
    return words


def _to_change(reason: str) -> str:
    """What ends a wait that no time ends; nothing of one that ends by itself."""
    if PER_JOB.fullmatch(reason):
        return "what it asks for, above a limit of its account or quality of service"
    return STUCK.get(reason, "")


def _status(found: SlurmJob) -> str:
    if found.state == "PENDING" and found.reason:
        return f"{found.state} ({found.reason})"
    return found.state


def _why(staging: str, name: str, found: SlurmJob) -> str:
    """Why a job ended that has left no result."""
    if found.state in ENDS:
        return ENDS[found.state]
    if found.exit_code == TOLD_TO_END:
        return "it was told to end; the same command goes on from its last checkpoint"

    last = ""
    output = place_of(staging, name) / "output.txt"
    if output.exists():
        last = (output.read_text(errors="replace").strip().splitlines() or [""])[-1]
    said = f"SLURM says {found.state}"
    if found.reason:
        said += f", {found.reason}"
    if last:
        said += f"; the last line of {output}: {last[:300]}"
    return said


class SlurmJobs(SubmittedJobs):
    """See `SubmittedJobs`."""

    columns = ("submission", "job", "status", "SLURM's", "submitted", "folder")

    @property
    def nothing(self) -> str:
        """Said in place of an empty table."""
        return "no jobs of ours that SLURM still knows"

    def rows(self, last: int) -> list[Sequence[str]]:
        """See the base."""
        found = [
            (each.name, each.place[0], _status(each), each.id, each.submitted, each.place[1])
            for each in known()
        ]
        return list(found[:last])

    def lines(self, name: str, *, follow: bool) -> Iterator[str]:
        """See the base."""
        found = find(name)
        submission = _submission(found)
        follower = None
        if follow or not found.alive:
            follower = _follower(submission)
        return lines(submission.folder, found.name, follower)

    def stop(self, name: str) -> str:
        """See the base."""
        found = find(name)
        if not found.alive:
            return f"{found.name} has ended already, SLURM says {found.state}"
        scheduler.end(found)
        return f"{found.name} is stopping; the same command goes on from its last checkpoint"

    def wait(self, name: str, run_dir: Path) -> tuple[ComposedJob, JobResult]:
        """See the base."""
        found = find(name)
        submission = _submission(found)
        how_to_stop = command([], "jobs", "stop", found.name, "--backend", "slurm")
        machine = machine_of(submission.folder.config().backend)
        return wait(submission, _follower(submission), run_dir, machine, how_to_stop)


def find(name: str) -> SlurmJob:
    """The job of that name or of SLURM's number, or the newest of that id, or of all (`latest`).

    Raises:
        JobError: There is none.
    """
    names = [LATEST]
    for each in known():
        if name in (LATEST, each.name, each.id, each.place[0]):
            return each
        names += [each.name, each.place[0]]
    raise JobError(f"SLURM knows no job '{name}' of ours{nearest(name, names)}")


def _submission(found: SlurmJob) -> Submission:
    return Submission(found.name, *found.place)


def _follower(submission: Submission) -> Follower:
    def look(name: str) -> RemoteJob | None:
        return look_at(submission.base, name)

    return Follower(look, submission.folder, submission.name, ASK, threading.Event())
