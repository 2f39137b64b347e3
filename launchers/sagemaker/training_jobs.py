"""Training jobs of ours, submitted from here or from anywhere: found by their tag, followed and
stopped.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from threading import Event

from renate.errors import JobError, nearest
from renate.jobs.directory import Json
from renate.jobs.records import JobResult

from ..base import ComposedJob, SubmittedJobs
from ..remote.wait import Submission, wait
from . import logs
from .failures import explained
from .request import TAG, machine_of
from .service import RUNNING, Service

PAGE = 100  # of a search, at most
LATEST = "latest"
WHOLE_NAME = r"-\d{8}-\d{6}-[0-9a-f]{6}$"  # how a training job's name ends; see request.name_of
OUR_OUTPUT = r"(s3://.+)/jobs/([A-Za-z0-9][A-Za-z0-9._-]{0,99})/out"


@dataclass(frozen=True)
class TrainingJob(Submission):
    """A training job, as the service describes it.

    Attributes:
        status: Of the training job, the secondary one after it.
        created: When it was submitted.
        billed: Seconds per machine; None while the service hasn't said it.
        machines: How many.
    """

    status: tuple[str, str]
    created: datetime
    billed: int | None
    machines: int

    @classmethod
    def of(cls, described: Json) -> "TrainingJob | None":
        """From an answer of the API; None if it isn't ours."""
        output = re.fullmatch(OUR_OUTPUT, described["OutputDataConfig"]["S3OutputPath"])
        if output is None:
            return None

        return cls(
            name=described["TrainingJobName"],
            id=output[2],
            base=output[1],
            status=(described["TrainingJobStatus"], described["SecondaryStatus"]),
            created=described["CreationTime"],
            billed=described.get("BillableTimeInSeconds"),
            machines=described["ResourceConfig"].get("InstanceCount", 1),
        )

    def row(self) -> Sequence[str]:
        """What `renate jobs ls` says of it."""
        billed = "–"
        if self.billed is not None:
            billed = f"{self.billed} s"
            if self.machines > 1:
                billed += f" × {self.machines}"

        submitted = self.created.astimezone().strftime("%Y-%m-%d %H:%M")
        return self.name, self.id, *self.status, billed, self.base, submitted


class TrainingJobs(SubmittedJobs):
    """Every training job of ours in an account and region; see `SubmittedJobs`."""

    columns = ("training job", "job", "status", "", "billed", "state", "submitted")

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def nothing(self) -> str:
        """Said in place of an empty table."""
        return f"no training jobs of ours in {self.service.region}"

    def rows(self, last: int) -> list[Sequence[str]]:
        """See the base."""
        return [job.row() for job in islice(every(self.service), last)]

    def lines(self, name: str, *, follow: bool) -> Iterator[str]:
        """See the base."""
        found = find(self.service, name)
        running = found.status[0] in RUNNING
        return logs.lines(self.service, found, running=running, follow=follow)

    def stop(self, name: str) -> str:
        """See the base."""
        found = find(self.service, name)
        if found.status[0] != "InProgress":
            return f"{found.name} is {found.status[0]} already"
        self.service.stop(found.name)
        return f"{found.name} is stopping; the same command goes on from its last checkpoint"

    def wait(self, name: str, run_dir: Path) -> tuple[ComposedJob, JobResult]:
        """See the base."""
        found = find(self.service, name)
        follower = logs.follower(self.service, found, Event())
        how_to_stop = self.service.how_to("stop", found.name)
        return wait(found, follower, run_dir, machine_of(None), how_to_stop)


def every(service: Service) -> Iterator[TrainingJob]:
    """Every training job that has our tag in this account and region, newest first."""
    tagged = {"Name": f"Tags.{TAG}", "Operator": "Exists"}
    asked: Json = {
        "Resource": "TrainingJob",
        "SearchExpression": {"Filters": [tagged]},
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": PAGE,
    }

    with explained():
        # boto's own paginator: importing the SDK would take two seconds, and it wants each field of
        # each answer.
        for page in service.session.client("sagemaker").get_paginator("search").paginate(**asked):
            found = (TrainingJob.of(result["TrainingJob"]) for result in page["Results"])
            yield from (job for job in found if job is not None)


def find(service: Service, name: str) -> TrainingJob:
    """The training job of that name, or the newest of that job's id, or the newest of all
    (`latest`).

    Raises:
        JobError: There is none.
    """
    if re.search(WHOLE_NAME, name):  # also one that the search, which lags behind, doesn't know yet
        found = _described(service, name)
        if found is not None:
            return found

    known = [LATEST]
    for job in every(service):
        if name in (LATEST, job.name, job.id):
            return job
        known += [job.name, job.id]

    raise JobError(f"{service.region}: no training job '{name}' of ours{nearest(name, known)}")


def _described(service: Service, name: str) -> TrainingJob | None:
    from botocore.exceptions import ClientError

    client = service.session.client("sagemaker")
    with explained():
        try:
            return TrainingJob.of(client.describe_training_job(TrainingJobName=name))
        except ClientError as error:
            if "not found" in error.response["Error"]["Message"]:
                return None
            raise
