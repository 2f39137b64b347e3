"""Jobs of ours that run on a cluster, whoever submitted them."""

import threading
import time
from collections.abc import Iterator, Sequence
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
from .cluster import every

LATEST = "latest"


def machine_of(settings: Any) -> Machine:
    """What jobs find on a node."""
    shared = settings.get("working_copy") == "shared"
    return Machine("ray", "../channel", "an object store", "s3://", shared=shared)


def running_as(ray: Any, name: str) -> RemoteJob | None:
    """A submission that runs on the cluster; None where none of that name does."""
    if any(about[0] == name for _, about in every(ray)):
        return RemoteJob(True)
    return None


class RayJobs(SubmittedJobs):
    """See `SubmittedJobs`; Ray knows those that run, `renate jobs ls` those that have ended."""

    columns = ("submission", "job", "running for", "folder")

    def __init__(self, ray: Any) -> None:
        self.ray = ray

    @property
    def nothing(self) -> str:
        """Said in place of an empty table."""
        return "no jobs of ours run on this cluster"

    def rows(self, last: int) -> list[Sequence[str]]:
        """See the base."""
        found = sorted((about for _, about in every(self.ray)), key=lambda about: -about[3])
        return [
            (name, job, f"{time.time() - since:.0f} s", base)
            for name, job, base, since in found[:last]
        ]

    def lines(self, name: str, *, follow: bool) -> Iterator[str]:
        """See the base."""
        submission = self._find(name)[1]
        follower = self._follower(submission) if follow else None
        return lines(submission.folder, submission.name, follower)

    def stop(self, name: str) -> str:
        """See the base."""
        actor, found = self._find(name)
        self.ray.get(actor.stop.remote(found.name))
        return f"{found.name} ends at its next report"

    def wait(self, name: str, run_dir: Path) -> tuple[ComposedJob, JobResult]:
        """See the base."""
        submission = self._find(name)[1]
        how_to_stop = command([], "jobs", "stop", submission.name, "--backend", "ray")
        machine = machine_of(submission.folder.config().backend)
        return wait(submission, self._follower(submission), run_dir, machine, how_to_stop)

    def _find(self, name: str) -> tuple[Any, Submission]:
        """The job of that name or id, or the newest (`latest`). Raises JobError."""
        running = sorted(every(self.ray), key=lambda each: -each[1][3])
        known = [LATEST]
        for actor, (submission, job, base, _) in running:
            if name in (LATEST, submission, job):
                return actor, Submission(submission, job, base)
            known += [submission, job]
        raise JobError(
            f"no job '{name}' of ours runs on this cluster{nearest(name, known)}; how one has "
            "ended is said where its command is given again"
        )

    def _follower(self, submission: Submission) -> Follower:
        def look(name: str) -> RemoteJob | None:
            return running_as(self.ray, name)

        return Follower(look, submission.folder, submission.name, ASK, threading.Event())
