"""What a training job has said, from its folder in S3, or from CloudWatch where nothing came
that far.
"""

import threading
from collections.abc import Iterator
from typing import Any

from renate.errors import JobError
from renate.jobs.records import LOG, PHASE, REPORT, Event, JobResult

from ..remote.backend import RemoteJob
from ..remote.follow import ASK, Follower, so_far
from ..remote.job_folder import JobFolder
from ..remote.wait import Submission
from .described import remote_job
from .failures import explained
from .service import Service

GROUP = "/aws/sagemaker/TrainingJobs"  # of CloudWatch's logs


def follower(service: Service, found: Submission, closing: threading.Event) -> Follower:
    """Follows a training job that some command has submitted."""
    folder = found.folder

    def look(name: str) -> RemoteJob | None:
        described = service.job(name)
        if described is None:
            return None
        return remote_job(described, folder.url, service.region)

    return Follower(look, folder, found.name, poll_of(folder), closing)


def lines(service: Service, found: Submission, *, running: bool, follow: bool) -> Iterator[str]:
    """What a job has reported and printed; CloudWatch's lines where it came to neither.

    Args:
        service: Where it runs.
        found: The job.
        running: Whether it isn't over.
        follow: Whether to go on until its end.
    """
    last = ""
    only_so_far = running and not follow

    for event in _events(service, found, only_so_far=only_so_far):
        if isinstance(event, JobResult):
            if not last:
                yield from _cloudwatch(service, found.name)

            end = f"renate: {event.error}"
            # The job may have said so itself.
            if event.failed and end != last:
                yield end
        elif event.kind in (REPORT, LOG):
            for last in event.text.splitlines():
                yield last
        elif event.kind == PHASE and follow:
            yield event.text

    if only_so_far and not last:
        yield from _cloudwatch(service, found.name)


def _events(
    service: Service, found: Submission, *, only_so_far: bool
) -> Iterator[Event | JobResult]:
    if only_so_far:
        return so_far(found.folder, found.name)
    return follower(service, found, threading.Event()).events()


def _cloudwatch(service: Service, name: str) -> Iterator[str]:
    client = service.session.client("logs")
    with explained():
        try:
            streams = client.get_paginator("describe_log_streams").paginate(
                logGroupName=GROUP, logStreamNamePrefix=f"{name}/"
            )
            for stream in (
                each["logStreamName"] for page in streams for each in page["logStreams"]
            ):
                yield from _stream(client, stream)
        # Nothing was printed, in this account, ever.
        except client.exceptions.ResourceNotFoundException:
            return


def _stream(client: Any, name: str) -> Iterator[str]:
    asked = {"logGroupName": GROUP, "logStreamName": name, "startFromHead": True}
    last: str | None = None
    while True:
        page = client.get_log_events(**asked, **({"nextToken": last} if last else {}))
        yield from (event["message"] for event in page["events"])
        if page["nextForwardToken"] == last:  # so the end of a stream is told
            return
        last = page["nextForwardToken"]


def poll_of(folder: JobFolder) -> float:
    """As the job was submitted with; its log may outlive its folder."""
    try:
        return float(folder.config().backend.poll)
    except JobError:
        return ASK
