"""Training jobs of ours, submitted from here or from anywhere: found by their tag, and stopped."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from renate.errors import JobError, nearest
from renate.jobs.directory import Json

from .failures import explained
from .home import Home
from .request import TAG
from .service import Service

PAGE = 100  # of a search, at most
LATEST = "latest"
WHOLE_NAME = r"-\d{8}-\d{6}-[0-9a-f]{6}$"  # how a training job's name ends; see request.name_of
OUR_OUTPUT = r"(s3://.+)/jobs/([A-Za-z0-9][A-Za-z0-9._-]{0,99})/out"


@dataclass
class Submitted:
    """A training job, as the service describes it.

    Attributes:
        name: The training job's.
        id: Our id of the job that it does.
        base: URL of the state that the job starts from; of `backend.staging` where that state is local.
        status: Of the training job, the secondary one after it.
        billed: Seconds per machine; None while the service hasn't said it.
        machines: How many.
    """

    name: str
    id: str
    base: str
    status: tuple[str, str]
    created: datetime
    billed: int | None
    machines: int

    @property
    def home(self) -> Home:
        return Home(f"{self.base}/jobs/{self.id}")

    @classmethod
    def of(cls, described: Json) -> "Submitted | None":
        """From an answer of the API; None if it isn't ours."""
        output = re.fullmatch(OUR_OUTPUT, described["OutputDataConfig"]["S3OutputPath"])
        if output is None:
            return None
        return cls(
            described["TrainingJobName"],
            output[2],
            output[1],
            (described["TrainingJobStatus"], described["SecondaryStatus"]),
            described["CreationTime"],
            described.get("BillableTimeInSeconds"),
            described["ResourceConfig"].get("InstanceCount", 1),
        )


def every(service: Service) -> Iterator[Submitted]:
    """Every training job that has our tag in this account and region, newest first."""
    asked: Json = {
        "Resource": "TrainingJob",
        "SearchExpression": {"Filters": [{"Name": f"Tags.{TAG}", "Operator": "Exists"}]},
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": PAGE,
    }
    with explained():
        # boto's own paginator; importing the SDK would take two seconds, and it wants each field of each answer.
        for page in service.session.client("sagemaker").get_paginator("search").paginate(**asked):
            found = (Submitted.of(result["TrainingJob"]) for result in page["Results"])
            yield from (job for job in found if job is not None)


def find(service: Service, name: str) -> Submitted:
    """The training job of that name, or the newest of that job's id, or the newest of all (`latest`).

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


def _described(service: Service, name: str) -> Submitted | None:
    from botocore.exceptions import ClientError

    with explained():
        try:
            return Submitted.of(service.session.client("sagemaker").describe_training_job(TrainingJobName=name))
        except ClientError as error:
            if "not found" in error.response["Error"]["Message"]:
                return None
            raise


def stop(service: Service, name: str) -> str:
    """Ask a training job to end; says what becomes of it."""
    found = find(service, name)
    if found.status[0] == "InProgress":
        service.stop(found.name)
        return f"{found.name} is stopping; the same command goes on from its last checkpoint"
    return f"{found.name} is {found.status[0]} already"
